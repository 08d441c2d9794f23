i=$1
mine() { for e in /proc/[0-9]*/environ; do grep -qzx "RS_WORKER_ID=$i" $e 2>/dev/null && e=${e%/environ} && echo ${e#/proc/}; done; }
for s in TERM KILL KILL KILL; do
  m=$(mine); [ "$m" ] || exit 0
  kill -$s $m 2>/dev/null
  n=0; while [ $n -lt 20 ] && [ "$(mine)" ]; do sleep 0.1; n=$((n + 1)); done
done
[ -z "$(mine)" ]
