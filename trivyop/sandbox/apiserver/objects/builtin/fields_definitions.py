"""Fields of custom resource definitions, in the notation of ``notation``."""

FIELDS = """\
# apiextensions
CustomResourceDefinition: metadata ObjectMeta, spec! CustomResourceDefinitionSpec, status
    CustomResourceDefinitionStatus
CustomResourceDefinitionSpec: group!, names! CustomResourceDefinitionNames, scope!, versions!
    [CustomResourceDefinitionVersion], conversion *CustomResourceConversion, preserveUnknownFields bool
CustomResourceDefinitionStatus: conditions! [CustomResourceDefinitionCondition] map(type),
    acceptedNames! CustomResourceDefinitionNames, storedVersions! [string], observedGeneration int64
CustomResourceDefinitionNames: plural!, singular, shortNames [string], kind!, listKind, categories
    [string]
CustomResourceDefinitionVersion: name!, served! bool, storage! bool, deprecated bool, deprecationWarning
    *string, schema *CustomResourceValidation, subresources *CustomResourceSubresources,
    additionalPrinterColumns [CustomResourceColumnDefinition], selectableFields [SelectableField]
CustomResourceConversion: strategy!, webhook *WebhookConversion
CustomResourceDefinitionCondition: type!, status!, lastTransitionTime Time, reason, message,
    observedGeneration int64
CustomResourceValidation: openAPIV3Schema *JSONSchemaProps
CustomResourceSubresources: status *CustomResourceSubresourceStatus, scale
    *CustomResourceSubresourceScale
CustomResourceColumnDefinition: name!, type!, format, description, priority int32, jsonPath!
SelectableField: jsonPath!
WebhookConversion: clientConfig *WebhookClientConfig, conversionReviewVersions! [string]
CustomResourceSubresourceStatus:
CustomResourceSubresourceScale: specReplicasPath!, statusReplicasPath!, labelSelectorPath *string
WebhookClientConfig: url *string, service *ServiceReference, caBundle bytes
ServiceReference: namespace!, name!, path *string, port *int32
JSONSchemaProps: id, $schema, $ref *string, description, type, format, title, default any, maximum
    *float, exclusiveMaximum bool, minimum *float, exclusiveMinimum bool, maxLength *int64, minLength
    *int64, pattern, maxItems *int64, minItems *int64, uniqueItems bool, multipleOf *float, enum [any],
    maxProperties *int64, minProperties *int64, required [string], items *JSONSchemaPropsOrArray, allOf
    [JSONSchemaProps], oneOf [JSONSchemaProps], anyOf [JSONSchemaProps], not *JSONSchemaProps,
    properties {JSONSchemaProps}, additionalProperties *JSONSchemaPropsOrBool, patternProperties
    {JSONSchemaProps}, dependencies {JSONSchemaPropsOrStringArray}, additionalItems
    *JSONSchemaPropsOrBool, definitions {JSONSchemaProps}, externalDocs *ExternalDocumentation, example
    any, nullable bool, x-kubernetes-preserve-unknown-fields *bool, x-kubernetes-embedded-resource bool,
    x-kubernetes-int-or-string bool, x-kubernetes-list-map-keys [string], x-kubernetes-list-type
    *string, x-kubernetes-map-type *string, x-kubernetes-validations [ValidationRule] map(rule)
    patch(rule)
ExternalDocumentation: description, url
ValidationRule: rule!, message, messageExpression, reason *string, fieldPath, optionalOldSelf *bool
"""
