"""Fields of networking, policy, storage, scheduling, coordination, events, discovery; see ``notation``."""

FIELDS = """\
# networking
Ingress: metadata ObjectMeta, spec IngressSpec, status IngressStatus
IngressClass: metadata ObjectMeta, spec IngressClassSpec
NetworkPolicy: metadata ObjectMeta, spec NetworkPolicySpec
IngressSpec: ingressClassName *string, defaultBackend *IngressBackend, tls [IngressTLS], rules
    [IngressRule]
IngressStatus: loadBalancer IngressLoadBalancerStatus
IngressClassSpec: controller, parameters *IngressClassParametersReference
NetworkPolicySpec: podSelector! LabelSelector, ingress [NetworkPolicyIngressRule], egress
    [NetworkPolicyEgressRule], policyTypes [string]
IngressBackend: service *IngressServiceBackend, resource *TypedLocalObjectReference
IngressTLS: hosts [string], secretName
IngressRule: host, http *HTTPIngressRuleValue
IngressLoadBalancerStatus: ingress [IngressLoadBalancerIngress]
IngressClassParametersReference: apiGroup *string, kind!, name!, scope! *string, namespace *string
NetworkPolicyIngressRule: ports [NetworkPolicyPort], from [NetworkPolicyPeer]
NetworkPolicyEgressRule: ports [NetworkPolicyPort], to [NetworkPolicyPeer]
IngressServiceBackend: name!, port ServiceBackendPort
HTTPIngressRuleValue: paths! [HTTPIngressPath]
IngressLoadBalancerIngress: ip, hostname, ports [IngressPortStatus]
NetworkPolicyPort: protocol *string, port *IntOrString, endPort *int32
NetworkPolicyPeer: podSelector *LabelSelector, namespaceSelector *LabelSelector, ipBlock *IPBlock
ServiceBackendPort atomic: name, number int32
HTTPIngressPath: path, pathType! *string, backend! IngressBackend
IngressPortStatus: port! int32, protocol!, error *string
IPBlock: cidr!, except [string]
# policy
PodDisruptionBudget: metadata ObjectMeta, spec PodDisruptionBudgetSpec, status PodDisruptionBudgetStatus
Eviction: metadata ObjectMeta, deleteOptions *DeleteOptions
PodDisruptionBudgetSpec: minAvailable *IntOrString, selector *LabelSelector, maxUnavailable
    *IntOrString, unhealthyPodEvictionPolicy *string
PodDisruptionBudgetStatus: observedGeneration int64, disruptedPods {Time}, disruptionsAllowed! int32,
    currentHealthy! int32, desiredHealthy! int32, expectedPods! int32, conditions [Condition] map(type)
    patch(type)
# storage
StorageClass: metadata ObjectMeta, provisioner!, parameters {string}, reclaimPolicy *string,
    mountOptions [string], allowVolumeExpansion *bool, volumeBindingMode *string, allowedTopologies
    [TopologySelectorTerm]
# scheduling
PriorityClass: metadata ObjectMeta, value! int32, globalDefault bool, description, preemptionPolicy
    *string
# coordination
Lease: metadata ObjectMeta, spec LeaseSpec
LeaseSpec: holderIdentity *string, leaseDurationSeconds *int32, acquireTime *MicroTime, renewTime
    *MicroTime, leaseTransitions *int32, strategy *string, preferredHolder *string
# events
Event: metadata! ObjectMeta, eventTime! MicroTime, series *EventSeries, reportingController,
    reportingInstance, action, reason, regarding ObjectReference, related *ObjectReference, note, type,
    deprecatedSource EventSource, deprecatedFirstTimestamp Time, deprecatedLastTimestamp Time,
    deprecatedCount int32
EventSeries: count! int32, lastObservedTime! MicroTime
# discovery
EndpointSlice: metadata ObjectMeta, addressType!, endpoints! [Endpoint], ports! [EndpointPort]
Endpoint: addresses! [string] set, conditions EndpointConditions, hostname *string, targetRef
    *ObjectReference, deprecatedTopology {string}, nodeName *string, zone *string, hints *EndpointHints
EndpointPort atomic: name *string, protocol *string, port *int32, appProtocol *string
EndpointConditions: ready *bool, serving *bool, terminating *bool
EndpointHints: forZones [ForZone], forNodes [ForNode]
ForZone: name!
ForNode: name!
"""
