{{/* The image, by digest. */}}
{{- define "image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* What selects this release's pods; never changes between versions. */}}
{{- define "selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The labels of every object. Catalyst's own come from global.catalyst. */}}
{{- define "labels" -}}
{{ include "selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: web
app.kubernetes.io/managed-by: {{ .Release.Service }}
openova.io/blueprint: {{ .Chart.Name }}
openova.io/blueprint-version: {{ .Chart.Version | quote }}
{{- $catalyst := default dict .Values.global.catalyst }}
{{- range $label, $key := dict "sovereign" "sovereign" "organization" "organization" "environment" "environment" "env-type" "envType" "vcluster" "vcluster" "host-cluster" "hostCluster" "application" "application" }}
{{- with index $catalyst $key }}
openova.io/{{ $label }}: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
