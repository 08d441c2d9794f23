p=$1 i=$2; shift 2
mine() { grep -lzx "RS_WORKER_ID=$i" /proc/[0-9]*/environ 2>/dev/null | while IFS=/ read -r a b pid c; do echo $pid; done; }
end() {
  for s in TERM KILL KILL KILL; do
    m=$(mine); [ "$m" ] || return 0
    kill -$s $m 2>/dev/null
    n=0; while [ $n -lt 20 ] && [ "$(mine)" ]; do sleep 0.1; n=$((n + 1)); done
  done
}
alive() { [ -d /proc/$PPID ] || kill -0 $PPID 2>/dev/null; }
[ "$LC_RS_WORKER_ENV" ] || { echo "this host does not take the variable LC_RS_WORKER_ENV: let its sshd have AcceptEnv LC_*" >&2; exit 126; }
cd "$p" || exit 126
exec 3<&0
( exec </dev/null >/dev/null 2>&1 3<&-; while alive; do sleep 1; done; end ) &
w=$!
( eval "export RS_WORKER_ID=$i $LC_RS_WORKER_ENV"; unset LC_RS_WORKER_ENV; exec "$@" ) <&3 3<&-
c=$?
kill $w 2>/dev/null
end
exit $c
