"""Columns of the tables of built-in kinds: one line for each, ``Name (type): description``.

A plus sign after the name means that only wide output shows the column. The descriptions of the kinds that
recordings of a real server show are the server's own, because clients compare and print them.
"""

from __future__ import annotations

COLUMNS = """\
# events
Last Seen: The time at which the most recent occurrence of this event was recorded.
Type: Type of this event (Normal, Warning), new types could be added in the future
Reason: This should be a short, machine understandable string that gives the reason for the transition
    into the object's current status.
Object: The object that this event is about.
Subobject+: If referring to a piece of an object instead of an entire object, this string should contain a
    valid JSON/Go field access statement, such as desiredState.manifest.containers[2]. For example, if the
    object reference is to a container within a pod, this would take on a value like:
    "spec.containers{name}" (where "name" refers to the name of the container that triggered the event) or
    if no container name is specified "spec.containers[2]" (container with index 2 in this pod). This
    syntax is chosen only to have some well-defined way of referencing a part of an object.
Source+: The component reporting this event. Should be a short machine understandable string.
Message: A human-readable description of the status of this operation.
First Seen+: The time at which the event was first recorded. (Time of server receipt is in TypeMeta.)
Count+: The number of times this event has occurred.
Name+
# pods
Name
Ready: The aggregate readiness state of this pod for accepting traffic.
Status: The aggregate status of the containers in this pod.
Restarts: The number of times the containers in this pod have been restarted and when the last container
    in this pod has restarted.
Age
IP+: podIP address allocated to the pod. Routable at least within the cluster. Empty if not yet allocated.
Node+: NodeName indicates in which node this pod is scheduled. If empty, this pod is a candidate for
    scheduling by the scheduler defined in schedulerName. Once this field is set, the kubelet for this
    node becomes responsible for the lifecycle of this pod. This field should not be used to express a
    desire for the pod to be scheduled on a specific node.
    https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#nodename
Nominated Node+: nominatedNodeName is set only when this pod preempts other pods on the node, but it
    cannot be scheduled right away as preemption victims receive their graceful termination periods. This
    field does not guarantee that the pod will be scheduled on this node. Scheduler may decide to place
    the pod elsewhere if other nodes become available sooner. Scheduler may also decide to give the
    resources on this node to a higher priority pod that is created after preemption. As a result, this
    field may be different than PodSpec.nodeName when the pod is scheduled.
Readiness Gates+: If specified, all readiness gates will be evaluated for pod readiness. A pod is ready
    when all its containers are ready AND all conditions specified in the readiness gates have status
    equal to "True" More info: https://git.k8s.io/enhancements/keps/sig-network/580-pod-readiness-gates
# configmaps
Name
Data: Data contains the configuration data. Each key must consist of alphanumeric characters, '-', '_' or
    '.'. Values with non-UTF-8 byte sequences must use the BinaryData field. The keys stored in Data must
    not overlap with the keys in the BinaryData field, this is enforced during validation process.
Age
# jobs
Name
Status: Status of the job.
Completions: The number of pods which reached phase Succeeded. The value increases monotonically for a
    given spec. However, it may decrease in reaction to scale down of elastic indexed jobs.
Duration: Time required to complete the job.
Age
Containers+: Names of each container in the template.
Images+: Images referenced by each container in the template.
Selector+: A label query over pods that should match the pod count. Normally, the system sets this field
    for you. More info:
    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
# deployments
Name
Ready: Number of the pod with ready state
Up-to-date: Total number of non-terminating pods targeted by this deployment that have the desired
    template spec.
Available: Total number of available non-terminating pods (ready for at least minReadySeconds) targeted by
    this deployment.
Age
Containers+: Names of each container in the template.
Images+: Images referenced by each container in the template.
Selector+: Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones
    affected by this deployment. It must match the pod template's labels.
# cronjobs
Name
Schedule: The schedule in Cron format, see https://en.wikipedia.org/wiki/Cron.
Timezone: The time zone name for the given schedule, see
    https://en.wikipedia.org/wiki/List_of_tz_database_time_zones. If not specified, this will default to
    the time zone of the kube-controller-manager process. The set of valid time zone names and the time
    zone offset is loaded from the system-wide time zone database by the API server during CronJob
    validation and the controller manager during execution. If no system-wide time zone database can be
    found a bundled version of the database is used instead. If the time zone name becomes invalid during
    the lifetime of a CronJob or due to a change in host configuration, the controller will stop creating
    new new Jobs and will create a system event with the reason UnknownTimeZone. More information can be
    found in https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#time-zones
Suspend (boolean): This flag tells the controller to suspend subsequent executions, it does not apply to
    already started executions.  Defaults to false.
Active (integer): A list of pointers to currently running jobs.
Last Schedule: Information when was the last time the job was successfully scheduled.
Age
Containers+: Names of each container in the template.
Images+: Images referenced by each container in the template.
Selector+: A label query over pods that should match the pod count. Normally, the system sets this field
    for you. More info:
    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
# secrets
Name
Type: Used to facilitate programmatic handling of secret data. More info:
    https://kubernetes.io/docs/concepts/configuration/secret/#secret-types
Data: Data contains the secret data. Each key must consist of alphanumeric characters, '-', '_' or '.'.
    The serialized form of the secret data is a base64 encoded string, representing the arbitrary
    (possibly non-string) data value here. Described in https://tools.ietf.org/html/rfc4648#section-4
Age
# namespaces
Name
Status: The status of the namespace
Age
# nodes
Name
Status: The status of the node
Roles: The roles of the node
Age
Version: Kubelet Version reported by the node.
Internal-IP+: List of addresses reachable to the node. Queried from cloud provider, if available. More
    info: https://kubernetes.io/docs/reference/node/node-status/#addresses Note: This field is declared as
    mergeable, but the merge key is not sufficiently unique, which can cause data corruption when it is
    merged. Callers should instead use a full-replacement patch. See https://pr.k8s.io/79391 for an
    example. Consumers should assume that addresses can change during the lifetime of a Node. However,
    there are some exceptions where this may not be possible, such as Pods that inherit a Node's address
    in its own status or consumers of the downward API (status.hostIP).
External-IP+: List of addresses reachable to the node. Queried from cloud provider, if available. More
    info: https://kubernetes.io/docs/reference/node/node-status/#addresses Note: This field is declared as
    mergeable, but the merge key is not sufficiently unique, which can cause data corruption when it is
    merged. Callers should instead use a full-replacement patch. See https://pr.k8s.io/79391 for an
    example. Consumers should assume that addresses can change during the lifetime of a Node. However,
    there are some exceptions where this may not be possible, such as Pods that inherit a Node's address
    in its own status or consumers of the downward API (status.hostIP).
OS-Image+: OS Image reported by the node from /etc/os-release (e.g. Debian GNU/Linux 7 (wheezy)).
Kernel-Version+: Kernel Version reported by the node from 'uname -r' (e.g. 3.16.0-0.bpo.4-amd64).
Container-Runtime+: ContainerRuntime Version reported by the node through runtime remote API (e.g.
    containerd://1.4.2).
# leases
Name
Holder: holderIdentity contains the identity of the holder of a current lease. If Coordinated Leader
    Election is used, the holder identity must be equal to the elected LeaseCandidate.metadata.name field.
Age
# replicasets
Name
Desired (integer): Replicas is the number of desired pods. This is a pointer to distinguish between
    explicit zero and unspecified. Defaults to 1. More info:
    https://kubernetes.io/docs/concepts/workloads/controllers/replicaset
Current (integer): Replicas is the most recently observed number of non-terminating pods. More info:
    https://kubernetes.io/docs/concepts/workloads/controllers/replicaset
Ready (integer): The number of non-terminating pods targeted by this ReplicaSet with a Ready Condition.
Age
Containers+: Names of each container in the template.
Images+: Images referenced by each container in the template.
Selector+: Selector is a label query over pods that should match the replica count. Label keys and values
    that must match in order to be controlled by this replica set. It must match the pod template's
    labels. More info:
    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
# statefulsets
Name
Ready: Pods that are ready, of those that are wanted.
Age
Containers+: Names of the template's containers.
Images+: Images of the template's containers.
# daemonsets
Name
Desired (integer): Nodes that should run the pod.
Current (integer): Nodes that run the pod and should.
Ready (integer): Nodes whose pod is ready.
Up-to-date (integer): Nodes that run the pod of the newest template.
Available (integer): Nodes whose pod is available.
Node Selector: Which nodes should run the pod.
Age
Containers+: Names of the template's containers.
Images+: Images of the template's containers.
Selector+: Which pods are counted.
# replicationcontrollers
Name
Desired (integer): Pods that are wanted.
Current (integer): Pods that are there.
Ready (integer): Pods that are ready.
Age
Containers+: Names of the template's containers.
Images+: Images of the template's containers.
Selector+: Which pods are counted.
# services
Name
Type: How the service can be reached.
Cluster-IP: Its address in the cluster.
External-IP: Its addresses outside the cluster.
Port(s): The ports it serves.
Age
Selector+: Which pods it is served by.
# serviceaccounts
Name
Secrets: How many secrets it lists.
Age
# rolebindings
Name
Role: The role that is bound.
Age
Users+: The users it is bound to.
Groups+: The groups it is bound to.
ServiceAccounts+: The service accounts it is bound to.
# ingresses
Name
Class: Who serves it.
Hosts: The hosts it answers for.
Address: Where it is served.
Ports: The ports it is served on.
Age
# networkpolicies
Name
Pod-Selector: The pods that it is about.
Age
# poddisruptionbudgets
Name
Min Available: Pods that must stay available.
Max Unavailable: Pods that may be unavailable.
Allowed Disruptions (integer): Pods that may be evicted now.
Age
# resourcequotas
Name
Request: Requests, used and allowed.
Limit: Limits, used and allowed.
Age
# endpoints
Name
Endpoints: Addresses and ports.
Age
# endpointslices
Name
AddressType: The type of the addresses.
Ports: The ports.
Endpoints: The addresses.
Age
# persistentvolumeclaims
Name
Status: Whether it is bound.
Volume: The volume it is bound to.
Capacity: The size of that volume.
Access Modes: How it may be mounted.
StorageClass: The class it asks for.
VolumeAttributesClass: The attributes it asks for.
Age
VolumeMode+: Whether it is a file system or a device.
# persistentvolumes
Name
Capacity: Its size.
Access Modes: How it may be mounted.
Reclaim Policy: What becomes of it when its claim goes.
Status: Whether it is bound.
Claim: The claim it is bound to.
StorageClass: Its class.
VolumeAttributesClass: Its attributes.
Reason: Why it is in its state.
Age
VolumeMode+: Whether it is a file system or a device.
# storageclasses
Name
Provisioner: Who makes its volumes.
ReclaimPolicy: What becomes of them.
VolumeBindingMode: When they are bound.
AllowVolumeExpansion: Whether they may grow.
Age
# priorityclasses
Name
Value (integer): The priority.
Global-Default (boolean): Whether it is the default.
Age
PreemptionPolicy: Whether it may preempt others.
# ingressclasses
Name
Controller: Who serves ingresses of this class.
Parameters: Where its parameters are.
Age
# horizontalpodautoscalers
Name
Reference: What it scales.
Targets: What it aims at.
MinPods: The least number of pods.
MaxPods: The greatest number of pods.
Replicas: The number of pods now.
Age
# podtemplates
Name
Containers: Names of the template's containers.
Images: Images of the template's containers.
Pod Labels: The template's labels.
# controllerrevisions
Name
Controller: What it is a revision of.
Revision: Its number.
Age
# mutatingwebhookconfigurations
Name
Webhooks (integer): How many webhooks it has.
Age
# validatingwebhookconfigurations
Name
Webhooks (integer): How many webhooks it has.
Age
"""
