{{/* The namespace that all objects are made in. */}}
{{- define "release_namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}
