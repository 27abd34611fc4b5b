"""Fields of volumes and claims, in the notation of ``notation``."""

FIELDS = """\
# core
PersistentVolumeClaim: metadata ObjectMeta, spec PersistentVolumeClaimSpec, status
    PersistentVolumeClaimStatus
PersistentVolume: metadata ObjectMeta, spec PersistentVolumeSpec, status PersistentVolumeStatus
PersistentVolumeClaimSpec: accessModes [string], selector *LabelSelector, resources
    VolumeResourceRequirements, volumeName, storageClassName *string, volumeMode *string, dataSource
    *TypedLocalObjectReference, dataSourceRef *TypedObjectReference, volumeAttributesClassName *string
PersistentVolumeClaimStatus: phase, accessModes [string], capacity {Quantity}, conditions
    [PersistentVolumeClaimCondition] map(type) patch(type), allocatedResources {Quantity},
    allocatedResourceStatuses {string}, currentVolumeAttributesClassName *string, modifyVolumeStatus
    *ModifyVolumeStatus
PersistentVolumeSpec: capacity {Quantity}, gcePersistentDisk *GCEPersistentDiskVolumeSource,
    awsElasticBlockStore *AWSElasticBlockStoreVolumeSource, hostPath *HostPathVolumeSource, glusterfs
    *GlusterfsPersistentVolumeSource, nfs *NFSVolumeSource, rbd *RBDPersistentVolumeSource, iscsi
    *ISCSIPersistentVolumeSource, cinder *CinderPersistentVolumeSource, cephfs
    *CephFSPersistentVolumeSource, fc *FCVolumeSource, flocker *FlockerVolumeSource, flexVolume
    *FlexPersistentVolumeSource, azureFile *AzureFilePersistentVolumeSource, vsphereVolume
    *VsphereVirtualDiskVolumeSource, quobyte *QuobyteVolumeSource, azureDisk *AzureDiskVolumeSource,
    photonPersistentDisk *PhotonPersistentDiskVolumeSource, portworxVolume *PortworxVolumeSource,
    scaleIO *ScaleIOPersistentVolumeSource, local *LocalVolumeSource, storageos
    *StorageOSPersistentVolumeSource, csi *CSIPersistentVolumeSource, accessModes [string], claimRef
    *ObjectReference, persistentVolumeReclaimPolicy, storageClassName, mountOptions [string], volumeMode
    *string, nodeAffinity *VolumeNodeAffinity, volumeAttributesClassName *string
PersistentVolumeStatus: phase, message, reason, lastPhaseTransitionTime *Time
VolumeResourceRequirements: limits {Quantity}, requests {Quantity}
TypedObjectReference: apiGroup! *string, kind!, name!, namespace *string
PersistentVolumeClaimCondition: type!, status!, lastProbeTime Time, lastTransitionTime Time, reason,
    message
ModifyVolumeStatus: targetVolumeAttributesClassName, status!
GCEPersistentDiskVolumeSource: pdName!, fsType, partition int32, readOnly bool
AWSElasticBlockStoreVolumeSource: volumeID!, fsType, partition int32, readOnly bool
HostPathVolumeSource: path!, type *string
GlusterfsPersistentVolumeSource: endpoints!, path!, readOnly bool, endpointsNamespace *string
NFSVolumeSource: server!, path!, readOnly bool
RBDPersistentVolumeSource: monitors! [string], image!, fsType, pool, user, keyring, secretRef
    *SecretReference, readOnly bool
ISCSIPersistentVolumeSource: targetPortal!, iqn!, lun! int32, iscsiInterface, fsType, readOnly bool,
    portals [string], chapAuthDiscovery bool, chapAuthSession bool, secretRef *SecretReference,
    initiatorName *string
CinderPersistentVolumeSource: volumeID!, fsType, readOnly bool, secretRef *SecretReference
CephFSPersistentVolumeSource: monitors! [string], path, user, secretFile, secretRef *SecretReference,
    readOnly bool
FCVolumeSource: targetWWNs [string], lun *int32, fsType, readOnly bool, wwids [string]
FlockerVolumeSource: datasetName, datasetUUID
FlexPersistentVolumeSource: driver!, fsType, secretRef *SecretReference, readOnly bool, options {string}
AzureFilePersistentVolumeSource: secretName!, shareName!, readOnly bool, secretNamespace! *string
VsphereVirtualDiskVolumeSource: volumePath!, fsType, storagePolicyName, storagePolicyID
QuobyteVolumeSource: registry!, volume!, readOnly bool, user, group, tenant
AzureDiskVolumeSource: diskName!, diskURI!, cachingMode *string, fsType *string, readOnly *bool, kind
    *string
PhotonPersistentDiskVolumeSource: pdID!, fsType
PortworxVolumeSource: volumeID!, fsType, readOnly bool
ScaleIOPersistentVolumeSource: gateway!, system!, secretRef! *SecretReference, sslEnabled bool,
    protectionDomain, storagePool, storageMode, volumeName, fsType, readOnly bool
LocalVolumeSource: path!, fsType *string
StorageOSPersistentVolumeSource: volumeName, volumeNamespace, fsType, readOnly bool, secretRef
    *ObjectReference
CSIPersistentVolumeSource: driver!, volumeHandle!, readOnly bool, fsType, volumeAttributes {string},
    controllerPublishSecretRef *SecretReference, nodeStageSecretRef *SecretReference,
    nodePublishSecretRef *SecretReference, controllerExpandSecretRef *SecretReference,
    nodeExpandSecretRef *SecretReference
VolumeNodeAffinity: required *NodeSelector
Volume: name!, hostPath *HostPathVolumeSource, emptyDir *EmptyDirVolumeSource, gcePersistentDisk
    *GCEPersistentDiskVolumeSource, awsElasticBlockStore *AWSElasticBlockStoreVolumeSource, gitRepo
    *GitRepoVolumeSource, secret *SecretVolumeSource, nfs *NFSVolumeSource, iscsi *ISCSIVolumeSource,
    glusterfs *GlusterfsVolumeSource, persistentVolumeClaim *PersistentVolumeClaimVolumeSource, rbd
    *RBDVolumeSource, flexVolume *FlexVolumeSource, cinder *CinderVolumeSource, cephfs
    *CephFSVolumeSource, flocker *FlockerVolumeSource, downwardAPI *DownwardAPIVolumeSource, fc
    *FCVolumeSource, azureFile *AzureFileVolumeSource, configMap *ConfigMapVolumeSource, vsphereVolume
    *VsphereVirtualDiskVolumeSource, quobyte *QuobyteVolumeSource, azureDisk *AzureDiskVolumeSource,
    photonPersistentDisk *PhotonPersistentDiskVolumeSource, projected *ProjectedVolumeSource,
    portworxVolume *PortworxVolumeSource, scaleIO *ScaleIOVolumeSource, storageos
    *StorageOSVolumeSource, csi *CSIVolumeSource, ephemeral *EphemeralVolumeSource, image
    *ImageVolumeSource
NodeSelector atomic: nodeSelectorTerms! [NodeSelectorTerm]
EmptyDirVolumeSource: medium, sizeLimit *Quantity
GitRepoVolumeSource: repository!, revision, directory
SecretVolumeSource: secretName, items [KeyToPath], defaultMode *int32, optional *bool
ISCSIVolumeSource: targetPortal!, iqn!, lun! int32, iscsiInterface, fsType, readOnly bool, portals
    [string], chapAuthDiscovery bool, chapAuthSession bool, secretRef *LocalObjectReference,
    initiatorName *string
GlusterfsVolumeSource: endpoints!, path!, readOnly bool
PersistentVolumeClaimVolumeSource: claimName!, readOnly bool
RBDVolumeSource: monitors! [string], image!, fsType, pool, user, keyring, secretRef
    *LocalObjectReference, readOnly bool
FlexVolumeSource: driver!, fsType, secretRef *LocalObjectReference, readOnly bool, options {string}
CinderVolumeSource: volumeID!, fsType, readOnly bool, secretRef *LocalObjectReference
CephFSVolumeSource: monitors! [string], path, user, secretFile, secretRef *LocalObjectReference,
    readOnly bool
DownwardAPIVolumeSource: items [DownwardAPIVolumeFile], defaultMode *int32
AzureFileVolumeSource: secretName!, shareName!, readOnly bool
ConfigMapVolumeSource: name, items [KeyToPath], defaultMode *int32, optional *bool
ProjectedVolumeSource: sources! [VolumeProjection], defaultMode *int32
ScaleIOVolumeSource: gateway!, system!, secretRef! *LocalObjectReference, sslEnabled bool,
    protectionDomain, storagePool, storageMode, volumeName, fsType, readOnly bool
StorageOSVolumeSource: volumeName, volumeNamespace, fsType, readOnly bool, secretRef
    *LocalObjectReference
CSIVolumeSource: driver!, readOnly *bool, fsType *string, volumeAttributes {string},
    nodePublishSecretRef *LocalObjectReference
EphemeralVolumeSource: volumeClaimTemplate *PersistentVolumeClaimTemplate
ImageVolumeSource: reference, pullPolicy
NodeSelectorTerm atomic: matchExpressions [NodeSelectorRequirement], matchFields
    [NodeSelectorRequirement]
KeyToPath: key!, path!, mode *int32
DownwardAPIVolumeFile: path!, fieldRef *ObjectFieldSelector, resourceFieldRef *ResourceFieldSelector,
    mode *int32
VolumeProjection: secret *SecretProjection, downwardAPI *DownwardAPIProjection, configMap
    *ConfigMapProjection, serviceAccountToken *ServiceAccountTokenProjection, clusterTrustBundle
    *ClusterTrustBundleProjection, podCertificate *PodCertificateProjection
PersistentVolumeClaimTemplate: metadata ObjectMeta, spec! PersistentVolumeClaimSpec
NodeSelectorRequirement: key!, operator!, values [string]
SecretProjection: name, items [KeyToPath], optional *bool
DownwardAPIProjection: items [DownwardAPIVolumeFile]
ConfigMapProjection: name, items [KeyToPath], optional *bool
ServiceAccountTokenProjection: audience, expirationSeconds *int64, path!
ClusterTrustBundleProjection: name *string, signerName *string, labelSelector *LabelSelector, optional
    *bool, path!
PodCertificateProjection: signerName, keyType, maxExpirationSeconds *int32, credentialBundlePath,
    keyPath, certificateChainPath, userAnnotations {string}
"""
