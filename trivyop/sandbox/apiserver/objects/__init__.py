"""Objects: what the API server does to objects between wire and store, as pure functions on plain dicts.

No I/O, no event loop, no clock, no chance: time and random strings are arguments. Who is refused gets
``Refused``, whose ``status`` is the Status object to send and ``code`` the HTTP status.

What is served
    ``builtin.KINDS``                  (group, version, plural) -> Kind, of every built-in kind
    ``crd.kinds_of(definition)``       the Kinds that a CustomResourceDefinition defines
    ``kinds.Kind``                     names, scope, verbs, schema, rules (enough for discovery)

Writing (each returns ``Written(obj, warnings)``; ``obj is live`` means: nothing changed, store nothing)
    ``writing.create(kind, body, media_type, write)``          POST
    ``writing.replace(kind, live, body, media_type, write)``   PUT, with subresource
    ``writing.patch(kind, live, body, media_type, write)``     PATCH: json, merge, strategic, apply
    ``crd.established`` / ``crd.terminating``                  the status of a definition as it comes and goes

Reading
    ``tables.table`` / ``tables.row`` / ``tables.partial``     Table rows, PartialObjectMetadata
    ``openapi.document_v2`` / ``documents_v3`` / ``index_v3``  the OpenAPI documents

The caller sets ``metadata.resourceVersion`` on what it stores, and does all that needs other objects:
existence, ownership, quotas, deletion.
"""
