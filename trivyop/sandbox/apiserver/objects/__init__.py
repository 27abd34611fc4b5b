"""Objects: what the API server does to objects between wire and store, as pure functions on plain dicts.

No I/O, no event loop, no clock, no chance: time and random strings are arguments. Who is refused gets
``Refused``, whose ``status`` is the Status object to send and ``code`` the HTTP status.

What is served
    ``builtin.KINDS``                  (group, version, plural) -> Kind, of every built-in kind
    ``crd.kinds_of(definition)``       the Kinds that a CustomResourceDefinition defines
    ``kinds.Kind``                     names, scope, verbs, schema, rules; conversion from and to storage

Writing (each returns ``Written(obj, warnings)``; ``obj is live`` means: nothing changed, store nothing)
    ``writing.create(kind, body, media_type, write)``          POST
    ``writing.replace(kind, live, body, media_type, write)``   PUT, with subresource
    ``writing.patch(kind, live, body, media_type, write)``     PATCH: json, merge, strategic, apply
    ``crd.established`` / ``crd.terminating``                  the status of a definition as it comes and goes

Reading
    ``tables.table`` / ``tables.row`` / ``tables.partial``     Table rows, PartialObjectMetadata
    ``scale.scale_of``                                         the Scale of an object
    ``openapi.document_v2`` / ``documents_v3`` / ``index_v3``  the OpenAPI documents

How it works inside, from the wire to the store
    ``decoding`` (bytes), ``reading`` with ``typed`` and ``structural`` (a kind's fields and defaults),
    ``patching`` and ``strategic`` (patches), ``fieldmanager`` with ``fieldset``, ``merging`` and ``applying``
    (who set what), ``creating`` and ``updating`` (the server's own part), ``names`` and ``validation``
    (what is refused); all of them look at one form of ``schema``.

The caller sets ``metadata.resourceVersion`` on what it stores, and does all that needs other objects:
existence, ownership, quotas, deletion.
"""
