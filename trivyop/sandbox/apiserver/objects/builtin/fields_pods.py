"""Fields of pods and their templates, in the notation of ``notation``."""

FIELDS = """\
# core
Pod: metadata ObjectMeta, spec PodSpec, status PodStatus
PodSpec: volumes [Volume] map(name) patch(name) retainKeys, initContainers [Container] map(name)
    patch(name), containers! [Container] map(name) patch(name), ephemeralContainers [EphemeralContainer]
    map(name) patch(name), restartPolicy, terminationGracePeriodSeconds *int64, activeDeadlineSeconds
    *int64, dnsPolicy, nodeSelector {string} atomic, serviceAccountName, serviceAccount,
    automountServiceAccountToken *bool, nodeName, hostNetwork bool, hostPID bool, hostIPC bool,
    shareProcessNamespace *bool, securityContext *PodSecurityContext, imagePullSecrets
    [LocalObjectReference] map(name) patch(name), hostname, subdomain, affinity *Affinity,
    schedulerName, tolerations [Toleration], hostAliases [HostAlias] map(ip) patch(ip),
    priorityClassName, priority *int32, dnsConfig *PodDNSConfig, readinessGates [PodReadinessGate],
    runtimeClassName *string, enableServiceLinks *bool, preemptionPolicy *string, overhead {Quantity},
    topologySpreadConstraints [TopologySpreadConstraint] map(topologyKey whenUnsatisfiable)
    patch(topologyKey), setHostnameAsFQDN *bool, os *PodOS, hostUsers *bool, schedulingGates
    [PodSchedulingGate] map(name) patch(name), resourceClaims [PodResourceClaim] map(name) patch(name)
    retainKeys, resources *ResourceRequirements, hostnameOverride *string, schedulingGroup
    *PodSchedulingGroup
PodStatus: observedGeneration int64, phase, conditions [PodCondition] map(type) patch(type), message,
    reason, nominatedNodeName, hostIP, hostIPs [HostIP] patch(ip), podIP, podIPs [PodIP] map(ip)
    patch(ip), startTime *Time, initContainerStatuses [ContainerStatus], containerStatuses
    [ContainerStatus], qosClass, ephemeralContainerStatuses [ContainerStatus], resize,
    resourceClaimStatuses [PodResourceClaimStatus] map(name) patch(name) retainKeys,
    extendedResourceClaimStatus *PodExtendedResourceClaimStatus, allocatedResources {Quantity},
    resources *ResourceRequirements, nodeAllocatableResourceClaimStatuses
    [NodeAllocatableResourceClaimStatus] map(resourceClaimName) patch(resourceClaimName)
LocalObjectReference atomic: name
TypedLocalObjectReference atomic: apiGroup! *string, kind!, name!
Container: name!, image, command [string], args [string], workingDir, ports [ContainerPort]
    map(containerPort protocol) patch(containerPort), envFrom [EnvFromSource], env [EnvVar] map(name)
    patch(name), resources ResourceRequirements, resizePolicy [ContainerResizePolicy], restartPolicy
    *string, restartPolicyRules [ContainerRestartRule], volumeMounts [VolumeMount] map(mountPath)
    patch(mountPath), volumeDevices [VolumeDevice] map(devicePath) patch(devicePath), livenessProbe
    *Probe, readinessProbe *Probe, startupProbe *Probe, lifecycle *Lifecycle, terminationMessagePath,
    terminationMessagePolicy, imagePullPolicy, securityContext *SecurityContext, stdin bool, stdinOnce
    bool, tty bool
EphemeralContainer: name!, image, command [string], args [string], workingDir, ports [ContainerPort]
    map(containerPort protocol) patch(containerPort), envFrom [EnvFromSource], env [EnvVar] map(name)
    patch(name), resources ResourceRequirements, resizePolicy [ContainerResizePolicy], restartPolicy
    *string, restartPolicyRules [ContainerRestartRule], volumeMounts [VolumeMount] map(mountPath)
    patch(mountPath), volumeDevices [VolumeDevice] map(devicePath) patch(devicePath), livenessProbe
    *Probe, readinessProbe *Probe, startupProbe *Probe, lifecycle *Lifecycle, terminationMessagePath,
    terminationMessagePolicy, imagePullPolicy, securityContext *SecurityContext, stdin bool, stdinOnce
    bool, tty bool, targetContainerName
PodSecurityContext: seLinuxOptions *SELinuxOptions, windowsOptions *WindowsSecurityContextOptions,
    runAsUser *int64, runAsGroup *int64, runAsNonRoot *bool, supplementalGroups [int64],
    supplementalGroupsPolicy *string, fsGroup *int64, sysctls [Sysctl], fsGroupChangePolicy *string,
    seccompProfile *SeccompProfile, appArmorProfile *AppArmorProfile, seLinuxChangePolicy *string
Affinity: nodeAffinity *NodeAffinity, podAffinity *PodAffinity, podAntiAffinity *PodAntiAffinity
Toleration: key, operator, value, effect, tolerationSeconds *int64
HostAlias: ip!, hostnames [string]
PodDNSConfig: nameservers [string], searches [string], options [PodDNSConfigOption]
PodReadinessGate: conditionType!
TopologySpreadConstraint: maxSkew! int32, topologyKey!, whenUnsatisfiable!, labelSelector
    *LabelSelector, minDomains *int32, nodeAffinityPolicy *string, nodeTaintsPolicy *string,
    matchLabelKeys [string]
PodOS: name!
PodSchedulingGate: name!
PodResourceClaim: name!, resourceClaimName *string, resourceClaimTemplateName *string
ResourceRequirements: limits {Quantity}, requests {Quantity}, claims [ResourceClaim] map(name)
PodSchedulingGroup: podGroupName *string
PodCondition: type!, observedGeneration int64, status!, lastProbeTime Time, lastTransitionTime Time,
    reason, message
HostIP: ip!
PodIP: ip!
ContainerStatus: name!, state ContainerState, lastState ContainerState, ready! bool, restartCount!
    int32, image!, imageID!, containerID, started *bool, allocatedResources {Quantity}, resources
    *ResourceRequirements, volumeMounts [VolumeMountStatus] map(mountPath) patch(mountPath), user
    *ContainerUser, allocatedResourcesStatus [ResourceStatus] map(name) patch(name), stopSignal *string
PodResourceClaimStatus: name!, resourceClaimName *string
PodExtendedResourceClaimStatus: requestMappings! [ContainerExtendedResourceRequest], resourceClaimName!
NodeAllocatableResourceClaimStatus: resourceClaimName!, containers [string] set, resources {Quantity}
ContainerPort: name, hostPort int32, containerPort! int32, protocol string default(TCP), hostIP
EnvFromSource: prefix, configMapRef *ConfigMapEnvSource, secretRef *SecretEnvSource
EnvVar: name!, value, valueFrom *EnvVarSource
ContainerResizePolicy: resourceName!, restartPolicy!
ContainerRestartRule: action, exitCodes *ContainerRestartRuleOnExitCodes
VolumeMount: name!, readOnly bool, recursiveReadOnly *string, mountPath!, subPath, mountPropagation
    *string, subPathExpr
VolumeDevice: name!, devicePath!
Probe: exec *ExecAction, httpGet *HTTPGetAction, tcpSocket *TCPSocketAction, grpc *GRPCAction,
    initialDelaySeconds int32, timeoutSeconds int32, periodSeconds int32, successThreshold int32,
    failureThreshold int32, terminationGracePeriodSeconds *int64
Lifecycle: postStart *LifecycleHandler, preStop *LifecycleHandler, stopSignal *string
SecurityContext: capabilities *Capabilities, privileged *bool, seLinuxOptions *SELinuxOptions,
    windowsOptions *WindowsSecurityContextOptions, runAsUser *int64, runAsGroup *int64, runAsNonRoot
    *bool, readOnlyRootFilesystem *bool, allowPrivilegeEscalation *bool, procMount *string,
    seccompProfile *SeccompProfile, appArmorProfile *AppArmorProfile
SELinuxOptions: user, role, type, level
WindowsSecurityContextOptions: gmsaCredentialSpecName *string, gmsaCredentialSpec *string, runAsUserName
    *string, hostProcess *bool
Sysctl: name!, value!
SeccompProfile: type!, localhostProfile *string
AppArmorProfile: type!, localhostProfile *string
NodeAffinity: requiredDuringSchedulingIgnoredDuringExecution *NodeSelector,
    preferredDuringSchedulingIgnoredDuringExecution [PreferredSchedulingTerm]
PodAffinity: requiredDuringSchedulingIgnoredDuringExecution [PodAffinityTerm],
    preferredDuringSchedulingIgnoredDuringExecution [WeightedPodAffinityTerm]
PodAntiAffinity: requiredDuringSchedulingIgnoredDuringExecution [PodAffinityTerm],
    preferredDuringSchedulingIgnoredDuringExecution [WeightedPodAffinityTerm]
PodDNSConfigOption: name, value *string
ResourceClaim: name!, request
ContainerState: waiting *ContainerStateWaiting, running *ContainerStateRunning, terminated
    *ContainerStateTerminated
VolumeMountStatus: name!, mountPath!, readOnly bool, recursiveReadOnly *string, volumeStatus
    *VolumeStatus
ContainerUser: linux *LinuxContainerUser
ResourceStatus: name!, resources [ResourceHealth] map(resourceID)
ContainerExtendedResourceRequest: containerName!, resourceName!, requestName!
ConfigMapEnvSource: name, optional *bool
SecretEnvSource: name, optional *bool
EnvVarSource: fieldRef *ObjectFieldSelector, resourceFieldRef *ResourceFieldSelector, configMapKeyRef
    *ConfigMapKeySelector, secretKeyRef *SecretKeySelector, fileKeyRef *FileKeySelector
ContainerRestartRuleOnExitCodes: operator, values [int32] set
ExecAction: command [string]
HTTPGetAction: path, port! IntOrString, host, scheme, httpHeaders [HTTPHeader]
TCPSocketAction: port! IntOrString, host
GRPCAction: port! int32, service! *string
LifecycleHandler: exec *ExecAction, httpGet *HTTPGetAction, tcpSocket *TCPSocketAction, sleep
    *SleepAction
Capabilities: add [string], drop [string]
PreferredSchedulingTerm: weight! int32, preference! NodeSelectorTerm
PodAffinityTerm: labelSelector *LabelSelector, namespaces [string], topologyKey!, namespaceSelector
    *LabelSelector, matchLabelKeys [string], mismatchLabelKeys [string]
WeightedPodAffinityTerm: weight! int32, podAffinityTerm! PodAffinityTerm
ContainerStateWaiting: reason, message
ContainerStateRunning: startedAt Time
ContainerStateTerminated: exitCode! int32, signal int32, reason, message, startedAt Time, finishedAt
    Time, containerID
VolumeStatus: image *ImageVolumeStatus
LinuxContainerUser: uid! int64, gid! int64, supplementalGroups [int64]
ResourceHealth: resourceID!, health, message *string
ObjectFieldSelector atomic: apiVersion, fieldPath!
ResourceFieldSelector atomic: containerName, resource!, divisor Quantity
ConfigMapKeySelector atomic: name, key!, optional *bool
SecretKeySelector atomic: name, key!, optional *bool
FileKeySelector atomic: volumeName!, path!, key!, optional *bool
HTTPHeader: name!, value!
SleepAction: seconds! int64
ImageVolumeStatus: imageRef
"""
