i=$1
mine() { grep -lzx "RS_WORKER_ID=$i" /proc/[0-9]*/environ 2>/dev/null | while IFS=/ read -r a b pid c; do echo $pid; done; }
for s in TERM KILL KILL KILL; do
  m=$(mine); [ "$m" ] || exit 0
  kill -$s $m 2>/dev/null
  n=0; while [ $n -lt 20 ] && [ "$(mine)" ]; do sleep 0.1; n=$((n + 1)); done
done
[ -z "$(mine)" ]
