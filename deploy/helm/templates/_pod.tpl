{{/* The pod of a process: dict of root, name, command, values, env (a map), ports (name to number), ready
("http path port", or "exec" with its arguments), and keeps (whether its disk is a claim). */}}
{{- define "headwater.pod" -}}
{{- $root := .root -}}
metadata:
  labels:
    {{- include "headwater.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .name }}
  {{- with .values.podAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- include "headwater.podBase" $root | trim | nindent 2 }}
  terminationGracePeriodSeconds: {{ .values.terminationGracePeriodSeconds }}
  {{- with .values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "headwater.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ .name }}
  containers:
    - name: {{ .name }}
      {{- include "headwater.containerBase" $root | nindent 6 }}
      {{- $handover := list }}
      {{- if .values.retireOnStop }}
      {{- /* when the process has ended, not in a preStop hook: a member that still runs would join again */}}
      {{- $handover = list "python" "-m" "deploy.handover" .stage }}
      {{- end }}
      command: {{ concat $handover .command | toJson }}
      env:
        - name: POD_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        - {name: HEADWATER_READY_FILE, value: /tmp/$(POD_NAME).ready}
        - {name: HEADWATER_METRICS_HOST, value: 0.0.0.0}
        - {name: HEADWATER_METRICS_PORT, value: "9100"}
        {{- if .ordinal }}
        - name: HEADWATER_WORKER
          valueFrom: {fieldRef: {fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']"}}
        {{- end }}
        {{- range $name, $value := .env }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
        {{- include "headwater.env" $root | trim | nindent 8 }}
      ports:
        - {name: metrics, containerPort: 9100}
        {{- range $name, $port := .ports }}
        - {name: {{ $name }}, containerPort: {{ $port }}}
        {{- end }}
      # by the heartbeat, which goes on while Kafka or ClickHouse are away: starting again would not help
      startupProbe:
        exec: {command: [python, -m, deploy.health]}
        periodSeconds: 3
        timeoutSeconds: 5
        failureThreshold: 40
      livenessProbe:
        exec: {command: [python, -m, deploy.health]}
        periodSeconds: 20
        timeoutSeconds: 10
        failureThreshold: 3
      readinessProbe:
        {{- if .readyPath }}
        httpGet: {path: {{ .readyPath | quote }}, port: http}
        periodSeconds: 3
        {{- else }}
        exec: {command: {{ .readyCommand | toJson }}}
        periodSeconds: 10
        {{- end }}
        timeoutSeconds: 5
        failureThreshold: 2
      resources: {{- toYaml .values.resources | nindent 8 }}
      volumeMounts:
        {{- include "headwater.mounts" $root | trim | nindent 8 }}
        - {name: state, mountPath: /var/lib/headwater}
  volumes:
    {{- include "headwater.volumes" $root | trim | nindent 4 }}
    {{- if not .values.storage }}
    # what is kept here is read again from Kafka
    - {name: state, emptyDir: {}}
    {{- end }}
{{- end -}}

{{- define "headwater.podBase" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
serviceAccountName: {{ .Values.serviceAccountName }}
automountServiceAccountToken: false
# else a Service NAME becomes variables NAME_PORT=tcp://..., and HEADWATER_QUERY_PORT is a setting
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "headwater.containerBase" -}}
image: {{ include "headwater.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "headwater.env" -}}
{{- range $name, $value := include "headwater.settings" . | fromYaml }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{- define "headwater.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if include "headwater.secretFiles" . | trim }}
- {name: secrets, mountPath: /run/secrets/headwater, readOnly: true}
{{- end }}
{{- end -}}

{{- define "headwater.volumes" -}}
- {name: tmp, emptyDir: {medium: Memory, sizeLimit: 64Mi}}
{{- with include "headwater.secretFiles" . | trim }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- end -}}
