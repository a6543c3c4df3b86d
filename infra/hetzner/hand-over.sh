#!/usr/bin/env bash
# Takes Kubernetes Secrets on standard input and puts them into the cluster:
#
#   ssh root@<control plane> catalyst-hand-over < secrets.json
#
# The input is JSON: one Secret, or a List of them. Anything else is refused, so
# that this road can carry secrets and nothing more. They pass through a pipe
# only: never through Git, user_data, arguments, a file or a log.
set -Eeuo pipefail
umask 077
export KUBECONFIG=/etc/rancher/k3s/k3s.yaml

secrets=$(jq -ces '[.[] | if .kind == "List" then .items[] else . end]
    | if length > 0 and all(.[]; .apiVersion == "v1" and .kind == "Secret" and (.metadata.namespace | type) == "string" and (.metadata.name | type) == "string")
      then . else error("not a Secret with a name and a namespace, nor a List of such") end')

printf '%s' "$secrets" |
    jq -c '[.[].metadata.namespace] | unique[] | {apiVersion: "v1", kind: "Namespace", metadata: {name: .}}' |
    k3s kubectl apply --server-side --field-manager=catalyst-hand-over -f - >/dev/null
printf '%s' "$secrets" | jq -c '.[]' |
    k3s kubectl apply --server-side --force-conflicts --field-manager=catalyst-hand-over -f - >/dev/null
printf '%s' "$secrets" | jq -r '.[] | "handed over: Secret \(.metadata.namespace)/\(.metadata.name)"'
