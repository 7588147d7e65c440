{{- define "wattspan.name" -}}
{{- if contains "wattspan" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-wattspan" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "wattspan.selector" -}}
app.kubernetes.io/name: wattspan
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "wattspan.labels" -}}
{{ include "wattspan.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "wattspan.secret" -}}
{{- if .Values.secret.create }}{{ include "wattspan.name" . }}{{ else }}{{ .Values.secret.name }}{{ end }}
{{- end }}
