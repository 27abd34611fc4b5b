"""Fields of rbac, authentication, authorization and admission, in the notation of ``notation``."""

FIELDS = """\
# rbac
Role: metadata ObjectMeta, rules! [PolicyRule]
RoleBinding: metadata ObjectMeta, subjects [Subject], roleRef! RoleRef
ClusterRole: metadata ObjectMeta, rules! [PolicyRule], aggregationRule *AggregationRule
ClusterRoleBinding: metadata ObjectMeta, subjects [Subject], roleRef! RoleRef
PolicyRule: verbs! [string], apiGroups [string], resources [string], resourceNames [string],
    nonResourceURLs [string]
Subject atomic: kind!, apiGroup, name!, namespace
RoleRef atomic: apiGroup!, kind!, name!
AggregationRule: clusterRoleSelectors [LabelSelector]
# authentication
TokenReview: metadata ObjectMeta, spec! TokenReviewSpec, status TokenReviewStatus
TokenRequest: metadata ObjectMeta, spec! TokenRequestSpec, status TokenRequestStatus
SelfSubjectReview: metadata ObjectMeta, status SelfSubjectReviewStatus
TokenReviewSpec: token, audiences [string]
TokenReviewStatus: authenticated bool, user UserInfo, audiences [string], error
TokenRequestSpec: audiences! [string], expirationSeconds! *int64, boundObjectRef! *BoundObjectReference
TokenRequestStatus: token!, expirationTimestamp! Time
SelfSubjectReviewStatus: userInfo UserInfo
UserInfo: username, uid, groups [string], extra {[string]}
BoundObjectReference: kind, apiVersion, name, uid
# authorization
SubjectAccessReview: metadata ObjectMeta, spec! SubjectAccessReviewSpec, status
    SubjectAccessReviewStatus
SelfSubjectAccessReview: metadata ObjectMeta, spec! SelfSubjectAccessReviewSpec, status
    SubjectAccessReviewStatus
LocalSubjectAccessReview: metadata ObjectMeta, spec! SubjectAccessReviewSpec, status
    SubjectAccessReviewStatus
SelfSubjectRulesReview: metadata ObjectMeta, spec! SelfSubjectRulesReviewSpec, status
    SubjectRulesReviewStatus
SubjectAccessReviewSpec: resourceAttributes *ResourceAttributes, nonResourceAttributes
    *NonResourceAttributes, user, groups [string], extra {[string]}, uid
SubjectAccessReviewStatus: allowed! bool, denied bool, reason, evaluationError
SelfSubjectAccessReviewSpec: resourceAttributes *ResourceAttributes, nonResourceAttributes
    *NonResourceAttributes
SelfSubjectRulesReviewSpec: namespace
SubjectRulesReviewStatus: resourceRules! [ResourceRule], nonResourceRules! [NonResourceRule],
    incomplete! bool, evaluationError
ResourceAttributes: namespace, verb, group, version, resource, subresource, name, fieldSelector
    *FieldSelectorAttributes, labelSelector *LabelSelectorAttributes
NonResourceAttributes: path, verb
ResourceRule: verbs! [string], apiGroups [string], resources [string], resourceNames [string]
NonResourceRule: verbs! [string], nonResourceURLs [string]
FieldSelectorAttributes: rawSelector, requirements [FieldSelectorRequirement]
LabelSelectorAttributes: rawSelector, requirements [LabelSelectorRequirement]
# admissionregistration
ValidatingWebhookConfiguration: metadata ObjectMeta, webhooks [ValidatingWebhook] map(name) patch(name)
MutatingWebhookConfiguration: metadata ObjectMeta, webhooks [MutatingWebhook] map(name) patch(name)
ValidatingWebhook: name!, clientConfig! WebhookClientConfig, rules [RuleWithOperations], failurePolicy
    *string, matchPolicy *string, namespaceSelector *LabelSelector, objectSelector *LabelSelector,
    sideEffects! *string, timeoutSeconds *int32, admissionReviewVersions! [string], matchConditions
    [MatchCondition] map(name) patch(name)
MutatingWebhook: name!, clientConfig! WebhookClientConfig, rules [RuleWithOperations], failurePolicy
    *string, matchPolicy *string, namespaceSelector *LabelSelector, objectSelector *LabelSelector,
    sideEffects! *string, timeoutSeconds *int32, admissionReviewVersions! [string], reinvocationPolicy
    *string, matchConditions [MatchCondition] map(name) patch(name)
WebhookClientConfig: url *string, service *ServiceReference, caBundle bytes
RuleWithOperations: operations [string], apiGroups [string], apiVersions [string], resources [string],
    scope *string
MatchCondition: name!, expression!
ServiceReference: namespace!, name!, path *string, port *int32
"""
