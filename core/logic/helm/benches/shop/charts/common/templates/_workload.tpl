{{- define "common.pod" -}}
metadata:
  annotations:
    checksum/config: {{ .Values.env | toJson | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "common.labels" . | nindent 4 }}
spec:
  serviceAccountName: {{ include "common.serviceAccount" . }}
  {{- with .Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
  - name: {{ include "common.name" . }}
    image: {{ include "common.image" (dict "image" .Values.image "root" .) | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy | default (ternary "Always" "IfNotPresent" (eq (.Values.image.tag | default "") "latest")) }}
    {{- if .Values.command }}
    command:
      {{- range .Values.command }}
      - {{ tpl . $ | quote }}
      {{- end }}
    {{- end }}
    env:
    {{- range $key, $value := .Values.env }}
    - name: {{ $key }}
      value: {{ tpl (toString $value) $ | quote }}
    {{- end }}
    {{- range .Values.secretEnv }}
    - name: {{ .name | upper | replace "-" "_" }}
      valueFrom:
        secretKeyRef: {name: {{ include "common.fullname" $ }}, key: {{ .key | default .name }}}
    {{- end }}
    ports:
    {{- range .Values.ports }}
    - name: {{ .name }}
      containerPort: {{ .port | int }}
      protocol: {{ .protocol | default "TCP" }}
    {{- end }}
    {{- with .Values.probe }}
    livenessProbe:
      {{- toYaml (merge (dict "initialDelaySeconds" 10) .) | nindent 6 }}
    readinessProbe:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    resources:
      {{- toYaml .Values.resources | nindent 6 }}
    volumeMounts:
    - name: config
      mountPath: /etc/{{ .Chart.Name }}
    {{- range $mount := .Values.mounts }}
    - name: {{ $mount.name }}
      mountPath: {{ $mount.path | clean }}
      readOnly: {{ $mount.readOnly | default false }}
    {{- end }}
  volumes:
  - name: config
    configMap:
      name: {{ include "common.fullname" . }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "common.selector" . | nindent 14 }}
{{- end -}}

{{- define "common.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "common.fullname" . }}
  labels:
    {{- include "common.labels" . | nindent 4 }}
spec:
  {{- if not (.Values.autoscaling).enabled }}
  replicas: {{ .Values.replicas | default 1 | int }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "common.selector" . | nindent 6 }}
  template:
    {{- include "common.pod" . | nindent 4 }}
{{- end -}}

{{- define "common.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "common.fullname" . }}
  labels:
    {{- include "common.labels" . | nindent 4 }}
spec:
  type: {{ (.Values.service).type | default "ClusterIP" }}
  ports:
  {{- range .Values.ports }}
  - port: {{ .servicePort | default .port | int }}
    targetPort: {{ .name }}
    protocol: {{ .protocol | default "TCP" }}
    name: {{ .name }}
  {{- end }}
  selector:
    {{- include "common.selector" . | nindent 4 }}
{{- end -}}

{{- define "common.config" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "common.fullname" . }}
  labels:
    {{- include "common.labels" . | nindent 4 }}
data:
  settings.yaml: |
    {{- .Values.settings | toYaml | nindent 4 }}
  settings.json: {{ .Values.settings | toJson | quote }}
{{- $glob := .Files.Glob "files/*" }}
{{- with $glob.AsConfig }}
  {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "common.account" -}}
{{- if .Values.serviceAccount.create }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "common.serviceAccount" . }}
  labels:
    {{- include "common.labels" . | nindent 4 }}
automountServiceAccountToken: false
{{- end }}
{{- end -}}
