#!/bin/sh
# slurm.sh COMMAND...: a Slurm of one node, this machine, while the command runs; as root, in namespaces of its own.
# Debian: slurm-wlm, slurm-wlm-basic-plugins, munge.
set -u
if [ "${1-}" != --inside ]; then
  exec unshare --mount --pid --fork --kill-child --mount-proc "$0" --inside "$@"
fi
shift
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
export SLURM_CONF="$folder/slurm.conf" PATH="$PATH:/usr/sbin"

dd if=/dev/urandom of="$folder/key" bs=1024 count=1 status=none && chmod 400 "$folder/key"
munged --force --key-file="$folder/key" --socket="$folder/munge" --pid-file="$folder/munge.pid" --log-file="$folder/munge.log" \
  --seed-file="$folder/munge.seed" || exit 1

cat >"$SLURM_CONF" <<END
ClusterName=test
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmUser=root
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$folder/munge
CredType=cred/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
MpiDefault=none
ReturnToService=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
NodeName=$(hostname) NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP OverSubscribe=FORCE:8
END
mkdir "$folder/state" "$folder/spool"
slurmctld && slurmd || exit 1
tries=0
until sinfo -h -o %t 2>/dev/null | grep -q idle; do
  tries=$((tries + 1))
  [ $tries -lt 100 ] || { echo "slurm.sh: the node does not come up:" >&2; tail -5 "$folder"/*.log >&2; exit 1; }
  sleep 0.2
done
"$@"
