"""Fields of apps, batch and autoscaling, in the notation of ``notation``."""

FIELDS = """\
# apps
ControllerRevision: metadata ObjectMeta, data! any, revision! int64
DaemonSet: metadata ObjectMeta, spec DaemonSetSpec, status DaemonSetStatus
Deployment: metadata ObjectMeta, spec DeploymentSpec, status DeploymentStatus
ReplicaSet: metadata ObjectMeta, spec ReplicaSetSpec, status ReplicaSetStatus
StatefulSet: metadata ObjectMeta, spec StatefulSetSpec, status StatefulSetStatus
DaemonSetSpec: selector! *LabelSelector, template! PodTemplateSpec, updateStrategy
    DaemonSetUpdateStrategy, minReadySeconds int32, revisionHistoryLimit *int32
DaemonSetStatus: currentNumberScheduled! int32, numberMisscheduled! int32, desiredNumberScheduled!
    int32, numberReady! int32, observedGeneration int64, updatedNumberScheduled int32, numberAvailable
    int32, numberUnavailable int32, collisionCount *int32, conditions [DaemonSetCondition] map(type)
    patch(type)
DeploymentSpec: replicas *int32, selector! *LabelSelector, template! PodTemplateSpec, strategy
    DeploymentStrategy retainKeys, minReadySeconds int32, revisionHistoryLimit *int32, paused bool,
    progressDeadlineSeconds *int32
DeploymentStatus: observedGeneration int64, replicas int32, updatedReplicas int32, readyReplicas int32,
    availableReplicas int32, unavailableReplicas int32, terminatingReplicas *int32, conditions
    [DeploymentCondition] map(type) patch(type), collisionCount *int32
ReplicaSetSpec: replicas *int32, minReadySeconds int32, selector! *LabelSelector, template
    PodTemplateSpec
ReplicaSetStatus: replicas! int32, fullyLabeledReplicas int32, readyReplicas int32, availableReplicas
    int32, terminatingReplicas *int32, observedGeneration int64, conditions [ReplicaSetCondition]
    map(type) patch(type)
StatefulSetSpec: replicas *int32, selector! *LabelSelector, template! PodTemplateSpec,
    volumeClaimTemplates [PersistentVolumeClaim], serviceName!, podManagementPolicy, updateStrategy
    StatefulSetUpdateStrategy, revisionHistoryLimit *int32, minReadySeconds int32,
    persistentVolumeClaimRetentionPolicy *StatefulSetPersistentVolumeClaimRetentionPolicy, ordinals
    *StatefulSetOrdinals
StatefulSetStatus: observedGeneration int64, replicas! int32, readyReplicas int32, currentReplicas
    int32, updatedReplicas int32, currentRevision, updateRevision, collisionCount *int32, conditions
    [StatefulSetCondition] map(type) patch(type), availableReplicas! int32
DaemonSetUpdateStrategy: type, rollingUpdate *RollingUpdateDaemonSet
DaemonSetCondition: type!, status!, lastTransitionTime Time, reason, message
DeploymentStrategy: type, rollingUpdate *RollingUpdateDeployment
DeploymentCondition: type!, status!, lastUpdateTime Time, lastTransitionTime Time, reason, message
ReplicaSetCondition: type!, status!, lastTransitionTime Time, reason, message
StatefulSetUpdateStrategy: type, rollingUpdate *RollingUpdateStatefulSetStrategy
StatefulSetPersistentVolumeClaimRetentionPolicy: whenDeleted, whenScaled
StatefulSetOrdinals: start! int32
StatefulSetCondition: type!, status!, lastTransitionTime Time, reason, message
RollingUpdateDaemonSet: maxUnavailable *IntOrString, maxSurge *IntOrString
RollingUpdateDeployment: maxUnavailable *IntOrString, maxSurge *IntOrString
RollingUpdateStatefulSetStrategy: partition *int32, maxUnavailable *IntOrString
# batch
CronJob: metadata ObjectMeta, spec CronJobSpec, status CronJobStatus
Job: metadata ObjectMeta, spec JobSpec, status JobStatus
CronJobSpec: schedule!, timeZone *string, startingDeadlineSeconds *int64, concurrencyPolicy, suspend
    *bool, jobTemplate! JobTemplateSpec, successfulJobsHistoryLimit *int32, failedJobsHistoryLimit
    *int32
CronJobStatus: active [ObjectReference], lastScheduleTime *Time, lastSuccessfulTime *Time
JobSpec: parallelism *int32, completions *int32, activeDeadlineSeconds *int64, podFailurePolicy
    *PodFailurePolicy, successPolicy *SuccessPolicy, backoffLimit *int32, backoffLimitPerIndex *int32,
    maxFailedIndexes *int32, selector *LabelSelector, manualSelector *bool, template! PodTemplateSpec,
    ttlSecondsAfterFinished *int32, completionMode *string, suspend *bool, podReplacementPolicy *string,
    managedBy *string
JobStatus: conditions [JobCondition] patch(type), startTime *Time, completionTime *Time, active int32,
    succeeded int32, failed int32, terminating *int32, completedIndexes, failedIndexes *string,
    uncountedTerminatedPods *UncountedTerminatedPods, ready *int32
JobTemplateSpec: metadata ObjectMeta, spec JobSpec
PodFailurePolicy: rules! [PodFailurePolicyRule]
SuccessPolicy: rules! [SuccessPolicyRule]
JobCondition: type!, status!, lastProbeTime Time, lastTransitionTime Time, reason, message
UncountedTerminatedPods: succeeded [string] set, failed [string] set
PodFailurePolicyRule: action!, onExitCodes *PodFailurePolicyOnExitCodesRequirement, onPodConditions
    [PodFailurePolicyOnPodConditionsPattern]
SuccessPolicyRule: succeededIndexes *string, succeededCount *int32
PodFailurePolicyOnExitCodesRequirement: containerName *string, operator!, values! [int32] set
PodFailurePolicyOnPodConditionsPattern: type!, status!
# autoscaling
Scale: metadata ObjectMeta, spec ScaleSpec, status ScaleStatus
HorizontalPodAutoscaler: metadata ObjectMeta, spec HorizontalPodAutoscalerSpec, status
    HorizontalPodAutoscalerStatus
ScaleSpec: replicas int32
ScaleStatus: replicas! int32, selector
HorizontalPodAutoscalerSpec: scaleTargetRef! CrossVersionObjectReference, minReplicas *int32,
    maxReplicas! int32, targetCPUUtilizationPercentage *int32
HorizontalPodAutoscalerStatus: observedGeneration *int64, lastScaleTime *Time, currentReplicas! int32,
    desiredReplicas! int32, currentCPUUtilizationPercentage *int32
CrossVersionObjectReference atomic: kind!, name!, apiVersion
# autoscaling2
HorizontalPodAutoscaler: metadata ObjectMeta, spec HorizontalPodAutoscalerSpec, status
    HorizontalPodAutoscalerStatus
HorizontalPodAutoscalerSpec: scaleTargetRef! CrossVersionObjectReference, minReplicas *int32,
    maxReplicas! int32, metrics [MetricSpec], behavior *HorizontalPodAutoscalerBehavior
HorizontalPodAutoscalerStatus: observedGeneration *int64, lastScaleTime *Time, currentReplicas int32,
    desiredReplicas! int32, currentMetrics! [MetricStatus], conditions
    [HorizontalPodAutoscalerCondition] map(type) patch(type)
CrossVersionObjectReference: kind!, name!, apiVersion
MetricSpec: type!, object *ObjectMetricSource, pods *PodsMetricSource, resource *ResourceMetricSource,
    containerResource *ContainerResourceMetricSource, external *ExternalMetricSource
HorizontalPodAutoscalerBehavior: scaleUp *HPAScalingRules, scaleDown *HPAScalingRules
MetricStatus: type!, object *ObjectMetricStatus, pods *PodsMetricStatus, resource *ResourceMetricStatus,
    containerResource *ContainerResourceMetricStatus, external *ExternalMetricStatus
HorizontalPodAutoscalerCondition: type!, status!, lastTransitionTime Time, reason, message
ObjectMetricSource: describedObject! CrossVersionObjectReference, target! MetricTarget, metric!
    MetricIdentifier
PodsMetricSource: metric! MetricIdentifier, target! MetricTarget
ResourceMetricSource: name!, target! MetricTarget
ContainerResourceMetricSource: name!, target! MetricTarget, container!
ExternalMetricSource: metric! MetricIdentifier, target! MetricTarget
HPAScalingRules: stabilizationWindowSeconds *int32, selectPolicy *string, policies [HPAScalingPolicy],
    tolerance *Quantity
ObjectMetricStatus: metric! MetricIdentifier, current! MetricValueStatus, describedObject!
    CrossVersionObjectReference
PodsMetricStatus: metric! MetricIdentifier, current! MetricValueStatus
ResourceMetricStatus: name!, current! MetricValueStatus
ContainerResourceMetricStatus: name!, current! MetricValueStatus, container!
ExternalMetricStatus: metric! MetricIdentifier, current! MetricValueStatus
MetricTarget: type!, value *Quantity, averageValue *Quantity, averageUtilization *int32
MetricIdentifier: name!, selector *LabelSelector
HPAScalingPolicy: type!, value! int32, periodSeconds! int32
MetricValueStatus: value *Quantity, averageValue *Quantity, averageUtilization *int32
"""
