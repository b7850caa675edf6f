{{/* Name of the chart, 63 characters at most. */}}
{{- define "longhorn.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The labels of every object. */}}
{{- define "longhorn.labels" -}}
app.kubernetes.io/name: {{ include "longhorn.name" . }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion }}
{{- end -}}

{{/* The namespace that all objects are made in. */}}
{{- define "release_namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "registry_url" -}}
{{- default .Values.global.cattle.systemDefaultRegistry .Values.privateRegistry.registryUrl -}}
{{- end -}}

{{/* An image's reference; context: list of the root and the image's values. */}}
{{- define "longhorn.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $registry := coalesce $root.Values.global.imageRegistry (include "registry_url" $root) $image.registry -}}
{{- with $registry -}}{{ trimSuffix "/" . }}/{{- end -}}
{{ $image.repository }}:{{ $image.tag }}
{{- end -}}

{{/* imagePullSecrets of a pod, or nothing. */}}
{{- define "longhorn.imagePullSecrets" -}}
{{- $secrets := list -}}
{{- range .Values.global.imagePullSecrets -}}
{{- $secrets = append $secrets (dict "name" (kindIs "string" . | ternary . (get (kindIs "map" . | ternary . dict) "name"))) -}}
{{- end -}}
{{- if and (empty $secrets) .Values.privateRegistry.registrySecret -}}
{{- $secrets = list (dict "name" .Values.privateRegistry.registrySecret) -}}
{{- end -}}
{{- with $secrets -}}
imagePullSecrets:
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{/* tolerations, nodeSelector and priorityClassName of a pod; context: list of the root and the component's values. */}}
{{- define "longhorn.placement" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $windows := $root.Values.global.cattle.windowsCluster -}}
{{- $tolerations := default $root.Values.global.tolerations $component.tolerations -}}
{{- $nodeSelector := default $root.Values.global.nodeSelector $component.nodeSelector -}}
{{- if $windows.enabled -}}
{{- $tolerations = concat $windows.tolerations $tolerations -}}
{{- $nodeSelector = merge (deepCopy $nodeSelector) $windows.nodeSelector -}}
{{- end -}}
{{- with $component.priorityClass }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $tolerations }}
tolerations:
{{ toYaml . | indent 2 }}
{{- end }}
{{- with $nodeSelector }}
nodeSelector:
{{ toYaml . | indent 2 }}
{{- end }}
{{- end -}}

{{/* What a service says about address families. */}}
{{- define "longhorn.ipFamilies" -}}
{{- with .Values.service.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.service.ipFamilies }}
ipFamilies:
{{ toYaml . | indent 2 }}
{{- end }}
{{- end -}}

{{/* A setting's value as text: maps as JSON. */}}
{{- define "longhorn.settingText" -}}
{{- if kindIs "map" . -}}
{{- $texts := dict -}}
{{- range $engine, $value := . }}{{ $_ := set $texts $engine (toString $value) }}{{ end -}}
{{ toJson $texts | quote }}
{{- else if kindIs "float64" . -}}
{{- if eq (floor .) . }}{{ int64 . | toString | quote }}{{ else }}{{ toString . | quote }}{{ end -}}
{{- else -}}
{{ toString . | quote }}
{{- end -}}
{{- end -}}

{{/* securityContext of a container that needs nothing of its node. */}}
{{- define "longhorn.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* spec of a job around an upgrade; context: list of the root, its name and the manager's command. */}}
{{- define "longhorn.upgradeJob" -}}
{{- $root := index . 0 -}}
activeDeadlineSeconds: 900
backoffLimit: 1
template:
  metadata:
    name: {{ index . 1 }}
    labels: {{- include "longhorn.labels" $root | nindent 6 }}
  spec:
    serviceAccountName: longhorn-service-account
    restartPolicy: OnFailure
    {{- include "longhorn.placement" (list $root $root.Values.longhornManager) | indent 4 }}
    {{- include "longhorn.imagePullSecrets" $root | nindent 4 }}
    securityContext:
      runAsUser: 65532
      runAsNonRoot: true
      seccompProfile:
        type: RuntimeDefault
    containers:
      - name: {{ index . 1 }}
        image: {{ include "longhorn.image" (list $root $root.Values.image.longhorn.manager) }}
        imagePullPolicy: {{ $root.Values.image.pullPolicy }}
        securityContext: {{- include "longhorn.restricted" $root | nindent 10 }}
        command: [longhorn-manager, {{ index . 2 }}]
        env:
          - name: POD_NAMESPACE
            valueFrom:
              fieldRef:
                fieldPath: metadata.namespace
{{- end -}}
