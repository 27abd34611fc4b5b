"""Fields of all objects' metadata, and of the rest of the core group, in the notation of ``notation``."""

FIELDS = """\
# meta
ObjectMeta: name, generateName, namespace, selfLink, uid, resourceVersion, generation int64,
    creationTimestamp? Time, deletionTimestamp *Time, deletionGracePeriodSeconds *int64, labels
    {string}, annotations {string}, ownerReferences [OwnerReference] map(uid) patch(uid), finalizers
    [string] set merge, managedFields [ManagedFieldsEntry]
OwnerReference atomic: apiVersion!, kind!, name!, uid!, controller *bool, blockOwnerDeletion *bool
ManagedFieldsEntry: manager, operation, apiVersion, time *Time, fieldsType, fieldsV1 any, subresource
LabelSelector atomic: matchLabels {string}, matchExpressions [LabelSelectorRequirement]
Condition: type!, status!, observedGeneration int64, lastTransitionTime! Time, reason!, message!
LabelSelectorRequirement: key!, operator!, values [string]
FieldSelectorRequirement: key!, operator!, values [string]
DeleteOptions: gracePeriodSeconds *int64, preconditions *Preconditions, orphanDependents *bool,
    propagationPolicy *string, dryRun [string], ignoreStoreReadErrorWithClusterBreakingPotential *bool
Preconditions: uid *string, resourceVersion *string
# core
Binding: metadata ObjectMeta, target! ObjectReference
ConfigMap: metadata ObjectMeta, immutable *bool, data {string}, binaryData {bytes}
Endpoints: metadata ObjectMeta, subsets [EndpointSubset]
Event: metadata! ObjectMeta, involvedObject! ObjectReference, reason, message, source EventSource,
    firstTimestamp Time, lastTimestamp Time, count int32, type, eventTime MicroTime, series
    *EventSeries, action, related *ObjectReference, reportingComponent!, reportingInstance!
LimitRange: metadata ObjectMeta, spec LimitRangeSpec
Namespace: metadata ObjectMeta, spec NamespaceSpec, status NamespaceStatus
Node: metadata ObjectMeta, spec NodeSpec, status NodeStatus
PodTemplate: metadata ObjectMeta, template PodTemplateSpec
ReplicationController: metadata ObjectMeta, spec ReplicationControllerSpec, status
    ReplicationControllerStatus
ResourceQuota: metadata ObjectMeta, spec ResourceQuotaSpec, status ResourceQuotaStatus
Secret: metadata ObjectMeta, immutable *bool, data {bytes}, stringData {string}, type
ServiceAccount: metadata ObjectMeta, secrets [ObjectReference] map(name) patch(name), imagePullSecrets
    [LocalObjectReference], automountServiceAccountToken *bool
Service: metadata ObjectMeta, spec ServiceSpec, status ServiceStatus
ObjectReference atomic: kind, namespace, name, uid, apiVersion, resourceVersion, fieldPath
EndpointSubset: addresses [EndpointAddress], notReadyAddresses [EndpointAddress], ports [EndpointPort]
EventSource: component, host
EventSeries: count int32, lastObservedTime MicroTime
LimitRangeSpec: limits! [LimitRangeItem]
NamespaceSpec: finalizers [string]
NamespaceStatus: phase, conditions [NamespaceCondition] map(type) patch(type)
NodeSpec: podCIDR, podCIDRs [string] set merge, providerID, unschedulable bool, taints [Taint],
    configSource *NodeConfigSource, externalID
NodeStatus: capacity {Quantity}, allocatable {Quantity}, phase, conditions [NodeCondition] map(type)
    patch(type), addresses [NodeAddress] map(type) patch(type), daemonEndpoints NodeDaemonEndpoints,
    nodeInfo NodeSystemInfo, images [ContainerImage], volumesInUse [string], volumesAttached
    [AttachedVolume], config *NodeConfigStatus, runtimeHandlers [NodeRuntimeHandler], features
    *NodeFeatures, declaredFeatures [string]
PodTemplateSpec: metadata ObjectMeta, spec PodSpec
ReplicationControllerSpec: replicas *int32, minReadySeconds int32, selector {string} atomic, template
    *PodTemplateSpec
ReplicationControllerStatus: replicas! int32, fullyLabeledReplicas int32, readyReplicas int32,
    availableReplicas int32, observedGeneration int64, conditions [ReplicationControllerCondition]
    map(type) patch(type)
ResourceQuotaSpec: hard {Quantity}, scopes [string], scopeSelector *ScopeSelector
ResourceQuotaStatus: hard {Quantity}, used {Quantity}
ServiceSpec: ports [ServicePort] map(port protocol) patch(port), selector {string} atomic, clusterIP,
    clusterIPs [string], type, externalIPs [string], sessionAffinity, loadBalancerIP,
    loadBalancerSourceRanges [string], externalName, externalTrafficPolicy, healthCheckNodePort int32,
    publishNotReadyAddresses bool, sessionAffinityConfig *SessionAffinityConfig, ipFamilies [string],
    ipFamilyPolicy *string, allocateLoadBalancerNodePorts *bool, loadBalancerClass *string,
    internalTrafficPolicy *string, trafficDistribution *string
ServiceStatus: loadBalancer LoadBalancerStatus, conditions [Condition] map(type) patch(type)
EndpointAddress atomic: ip!, hostname, nodeName *string, targetRef *ObjectReference
EndpointPort atomic: name, port! int32, protocol, appProtocol *string
LimitRangeItem: type!, max {Quantity}, min {Quantity}, default {Quantity}, defaultRequest {Quantity},
    maxLimitRequestRatio {Quantity}
NamespaceCondition: type!, status!, lastTransitionTime Time, reason, message
Taint: key!, value, effect!, timeAdded *Time
NodeConfigSource: configMap *ConfigMapNodeConfigSource
NodeCondition: type!, status!, lastHeartbeatTime Time, lastTransitionTime Time, reason, message
NodeAddress: type!, address!
NodeDaemonEndpoints: kubeletEndpoint DaemonEndpoint
NodeSystemInfo: machineID!, systemUUID!, bootID!, kernelVersion!, osImage!, containerRuntimeVersion!,
    kubeletVersion!, kubeProxyVersion!, operatingSystem!, architecture!, swap *NodeSwapStatus
ContainerImage: names! [string], sizeBytes int64
AttachedVolume: name!, devicePath!
NodeConfigStatus: assigned *NodeConfigSource, active *NodeConfigSource, lastKnownGood *NodeConfigSource,
    error
NodeRuntimeHandler: name!, features *NodeRuntimeHandlerFeatures
NodeFeatures: supplementalGroupsPolicy *bool
ReplicationControllerCondition: type!, status!, lastTransitionTime Time, reason, message
ScopeSelector atomic: matchExpressions [ScopedResourceSelectorRequirement]
ServicePort: name, protocol string default(TCP), appProtocol *string, port! int32,
    targetPort IntOrString, nodePort int32
SessionAffinityConfig: clientIP *ClientIPConfig
LoadBalancerStatus: ingress [LoadBalancerIngress]
ConfigMapNodeConfigSource: namespace!, name!, uid, resourceVersion, kubeletConfigKey!
DaemonEndpoint: Port! int32
NodeSwapStatus: capacity *int64
NodeRuntimeHandlerFeatures: recursiveReadOnlyMounts *bool, userNamespaces *bool
SecretReference atomic: name, namespace
ScopedResourceSelectorRequirement: scopeName!, operator!, values [string]
ClientIPConfig: timeoutSeconds *int32
LoadBalancerIngress: ip, hostname, ipMode *string, ports [PortStatus]
PortStatus: port! int32, protocol!, error *string
TopologySelectorTerm atomic: matchLabelExpressions [TopologySelectorLabelRequirement]
TopologySelectorLabelRequirement: key!, values! [string]
"""
