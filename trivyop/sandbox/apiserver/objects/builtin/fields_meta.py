"""Fields of the metadata that all objects share, in the notation of ``notation``."""

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
"""
