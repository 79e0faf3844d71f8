{{- define "headwater.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "headwater.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end -}}

{{/* What pods of the release have in common: selectors never change, so no version is among them. */}}
{{- define "headwater.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "headwater.labels" -}}
{{ include "headwater.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* A file of a Secret: list of its name, the key in it, and the path below /run/secrets/headwater. */}}
{{- define "headwater.secretFile" -}}
- secret:
    name: {{ index . 0 }}
    items: [{key: {{ index . 1 | quote }}, path: {{ index . 2 }}}]
{{- end -}}

{{- define "headwater.secretFiles" -}}
{{- range $service := list "kafka" "clickhouse" }}
{{- $of := index $.Values $service }}
{{- with $of.password }}{{ if .secret }}
{{ include "headwater.secretFile" (list .secret .key (printf "%s-password" $service)) }}
{{- end }}{{ end }}
{{- with $of.ca }}{{ if .secret }}
{{ include "headwater.secretFile" (list .secret .key (printf "%s-ca.pem" $service)) }}
{{- end }}{{ end }}
{{- with $of.clientCertificate }}{{ if .secret }}
{{ include "headwater.secretFile" (list .secret .certificateKey (printf "%s-cert.pem" $service)) }}
{{ include "headwater.secretFile" (list .secret .privateKeyKey (printf "%s-key.pem" $service)) }}
{{- end }}{{ end }}
{{- end }}
{{- with .Values.secretKey }}{{ if .secret }}
{{ include "headwater.secretFile" (list .secret .key "secret-key") }}
{{- end }}{{ end }}
{{- end -}}

{{/* The variables of every process, as a map; secrets are files, whose paths alone are here. */}}
{{- define "headwater.settings" -}}
{{- $full := include "headwater.fullname" . -}}
{{- $files := "/run/secrets/headwater" -}}
KAFKA_BOOTSTRAP_SERVERS: {{ required "kafka.bootstrapServers is needed: host:port,host:port" .Values.kafka.bootstrapServers | quote }}
HEADWATER_KAFKA_SECURITY_PROTOCOL: {{ .Values.kafka.securityProtocol }}
HEADWATER_KAFKA_COMPRESSION: {{ .Values.kafka.compression }}
{{- with .Values.kafka.saslMechanism }}
HEADWATER_KAFKA_SASL_MECHANISM: {{ . }}
{{- end }}
{{- with .Values.kafka.username }}
HEADWATER_KAFKA_USERNAME: {{ . | quote }}
{{- end }}
{{- with .Values.kafka.tokenProvider }}
HEADWATER_KAFKA_TOKEN_PROVIDER: {{ . | quote }}
{{- end }}
CLICKHOUSE_URL: {{ required "clickhouse.url is needed: https://user@host:8443" .Values.clickhouse.url | quote }}
HEADWATER_CLICKHOUSE_DATABASE: {{ .Values.clickhouse.database }}
{{- range $service := list "kafka" "clickhouse" }}
{{- $of := index $.Values $service }}
{{- $name := printf "HEADWATER_%s" (upper $service) }}
{{- if $of.password.secret }}
{{ $name }}_PASSWORD_FILE: {{ $files }}/{{ $service }}-password
{{- end }}
{{- if $of.ca.secret }}
{{ $name }}_CA_FILE: {{ $files }}/{{ $service }}-ca.pem
{{- end }}
{{- if $of.clientCertificate.secret }}
{{ $name }}_CERT_FILE: {{ $files }}/{{ $service }}-cert.pem
{{ $name }}_KEY_FILE: {{ $files }}/{{ $service }}-key.pem
{{- end }}
{{- end }}
{{- if .Values.secretKey.secret }}
HEADWATER_SECRET_KEY_FILE: {{ $files }}/secret-key
{{- end }}
HEADWATER_PARTITIONS: {{ .Values.topics.partitions | quote }}
HEADWATER_REPLICATION: {{ .Values.topics.replication | quote }}
{{- with .Values.topics.prefix }}
HEADWATER_TOPIC_PREFIX: {{ . | quote }}
{{- end }}
{{- with .Values.publicUrl }}
HEADWATER_PUBLIC_URL: {{ . | quote }}
{{- end }}
HEADWATER_QUERY_URL: http://{{ $full }}-query:8001
HEADWATER_EDGE_URL: http://{{ $full }}-ingest:{{ .Values.ingest.service.port }}
HEADWATER_HOME: /var/lib/headwater
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end -}}
