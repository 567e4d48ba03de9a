#!/bin/sh
# What the agent must do on a machine whose control groups are all v2. Runs as the first process
# of the guest; each check is a function that is run with `sh -eux`, in a process of its own.
# Answers on the console: `CHECK ok NAME` or `CHECK failed NAME: …`, and `CHECKS DONE` at last.
set -u
export PATH=/bin:/sbin HOME=/root HYTHE_HOST=unix:///run/hythe.sock

GROUPS_ROOT=/sys/fs/cgroup

start_agent() {
    hythe agent --socket /run/hythe.sock --data /var/lib/hythe >>/run/agent.log 2>&1 &
    echo $! >/run/agent.pid
    within 60 hythe version
}

# Until a command succeeds, for so many seconds.
within() {
    end=$(($(cut -d. -f1 /proc/uptime) + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(cut -d. -f1 /proc/uptime)" -lt "$end" ] || return 1
        usleep 100000
    done
}

fails() { if "$@"; then return 1; fi; }

holds() { # a value, what it has to be
    [ "$1" = "$2" ]
}

pid_of() { hythe inspect -f '{{.State.Pid}}' "$1"; }

# The directory of a container's group.
group_of() { echo "$GROUPS_ROOT$(sed -n 's/^0:://p' "/proc/$(pid_of "$1")/cgroup")"; }

run() { hythe run --network none "$@"; }

the_machine_is_all_v2() {
    holds "$(hythe info -f '{{.CgroupVersion}}')" 2
    fails grep -q '^cgroup ' /proc/mounts
    grep -q memory $GROUPS_ROOT/cgroup.controllers
}

limits_are_written_where_they_belong() {
    run -d --name limits -m 64m --memory-swap 96m --memory-reservation 32m --cpus 0.5 \
        --cpu-shares 512 --cpuset-cpus 0 --pids-limit 77 box sleep 1000
    group=$(group_of limits)
    holds "$(cat "$group/memory.max")" 67108864
    holds "$(cat "$group/memory.swap.max")" 33554432
    holds "$(cat "$group/memory.low")" 33554432
    holds "$(cat "$group/cpu.max")" "50000 100000"
    holds "$(cat "$group/cpu.weight")" 20
    holds "$(cat "$group/cpuset.cpus")" 0
    holds "$(cat "$group/pids.max")" 77
    hythe update -m 128m --memory-swap 128m --cpus 0.25 --pids-limit 50 limits
    holds "$(cat "$group/memory.max")" 134217728
    holds "$(cat "$group/memory.swap.max")" 0
    holds "$(cat "$group/cpu.max")" "25000 100000"
    holds "$(cat "$group/pids.max")" 50
    hythe rm -f limits
    [ ! -e "$group" ]
}

what_v2_does_not_have_is_warned_of() {
    run --rm -m 64m --memory-swappiness 10 --oom-kill-disable box echo ran >/run/out 2>/run/warnings
    holds "$(cat /run/out)" ran
    grep -q 'Memory swappiness discarded' /run/warnings
    grep -q 'OomKillDisable discarded' /run/warnings
    run --rm -m 64m box echo ran >/run/out 2>/run/warnings
    holds "$(cat /run/warnings)" ""
}

memory_that_runs_out_kills_and_is_told() {
    hythe events --filter event=oom --format '{{.Action}}' >/run/oom.events &
    events=$!
    code=0
    run --name hog -m 32m --memory-swap 32m box tail -c 100000000 /dev/zero || code=$?
    holds "$code" 137
    holds "$(hythe inspect -f '{{.State.OOMKilled}}' hog)" true
    within 20 grep -q oom /run/oom.events
    kill $events
    hythe rm hog
    run --rm -m 64m box dd if=/dev/zero of=/dev/null bs=32M count=1
}

a_fork_bomb_stops_at_its_limit() {
    run -d --name bomb --pids-limit 20 box sh -c "sh -c 'b() { b | b & }; while :; do b; done' & exec sleep 1000"
    group=$(group_of bomb)
    within 60 sh -c "[ \$(sed -n 's/^max //p' $group/pids.events) -gt 0 ]"
    [ "$(cat "$group/pids.current")" -le 20 ]
    hythe rm -f bomb
    [ ! -e "$group" ]
}

processor_time_is_rationed() {
    run -d --name busy --cpus 0.2 box sh -c 'while :; do :; done'
    group=$(group_of busy)
    within 60 sh -c "[ \$(sed -n 's/^nr_throttled //p' $group/cpu.stat) -gt 5 ]"
    hythe rm -f busy
}

the_freezer_stops_and_goes_on() {
    run -d --name still box sh -c 'while :; do echo x; usleep 20000; done'
    group=$(group_of still)
    lines() { hythe logs still | wc -l; }
    within 30 sh -c "[ \$(hythe logs still | wc -l) -gt 3 ]"
    hythe pause still
    holds "$(hythe inspect -f '{{.State.Status}}' still)" paused
    grep -q 'frozen 1' "$group/cgroup.events"
    before=$(lines)
    sleep 1
    holds "$(lines)" "$before"
    fails hythe exec still true
    hythe unpause still
    within 30 sh -c "[ \$(hythe logs still | wc -l) -gt $before ]"
    # What is frozen can be killed.
    hythe pause still
    hythe rm -f still
    [ ! -e "$group" ]
}

stats_have_figures() {
    run -d --name measured -m 64m --pids-limit 30 box sh -c 'dd if=/dev/vda of=/dev/null bs=64k count=64 iflag=direct; while :; do :; done'
    within 30 sh -c "[ \$(sed -n 's/^usage_usec //p' $(group_of measured)/cpu.stat) -gt 100000 ]"
    line=$(hythe stats --no-stream --format '{{.CPUPerc}} {{.MemUsage}} {{.PIDs}}' measured)
    echo "$line" >/run/stats
    grep -q 64MiB /run/stats
    fails holds "${line%% *}" 0.00%
    fails grep -q ' 0B' /run/stats
    [ "${line##* }" -ge 1 ]
    hythe rm -f measured
}

devices_are_what_was_given() {
    try='mknod /tmp/m c 1 1 && head -c1 /tmp/m >/dev/null && echo open'
    fails run --rm box sh -c "$try"
    holds "$(run --rm --device-cgroup-rule 'c 1:1 rm' --cap-add SYS_RAWIO box sh -c "$try")" open
    holds "$(run --rm --privileged box sh -c "$try")" open
    holds "$(run --rm box sh -c 'echo x >/dev/null && head -c1 /dev/zero | wc -c')" 1
    read='head -c4 /dev/vda | wc -c'
    holds "$(run --rm --device /dev/vda:/dev/vda:r box sh -c "$read")" 4
    fails run --rm --device /dev/vda:/dev/vda:r box sh -c 'echo >>/dev/vda'
}

block_devices_are_throttled() {
    run -d --name slow --device-read-bps /dev/vda:1mb --device-write-iops /dev/vda:100 box sleep 1000
    line=$(cat "$(group_of slow)/io.max")
    echo "$line" | grep -q 'rbps=1048576'
    echo "$line" | grep -q 'wiops=100'
    hythe rm -f slow
}

the_container_sees_its_own_group_only() {
    holds "$(run --rm box cat /proc/self/cgroup)" 0::/
    holds "$(run --rm -m 64m box cat /sys/fs/cgroup/memory.max)" 67108864
    fails run --rm box mkdir /sys/fs/cgroup/x
}

groups_inside_keep_exec_and_removal() {
    run -d --name nested --privileged box sh -c 'cd /sys/fs/cgroup && mkdir inner && echo 1 >inner/cgroup.procs && echo +pids >cgroup.subtree_control && echo ready && exec sleep 1000'
    within 30 sh -c 'hythe logs nested | grep -q ready'
    group=$(dirname "$(group_of nested)")
    holds "$(hythe exec nested echo inside)" inside
    hythe exec -d nested sleep 1000
    [ "$(wc -l <"$group/inner/cgroup.procs")" = 2 ]
    hythe rm -f nested
    [ ! -e "$group" ]
}

an_exec_is_in_the_container_s_group() {
    run -d --name host-pids --pid host --pids-limit 10 box sleep 1000
    group=$(group_of host-pids)
    hythe exec -d host-pids sleep 1001
    within 20 sh -c "[ \$(wc -l <$group/cgroup.procs) = 2 ]"
    # Without a pid namespace of its own the whole group is killed.
    hythe rm -f host-pids
    fails pgrep -f 'sleep 1001'
    [ ! -e "$group" ]
}

a_killed_agent_finds_its_containers_and_limits() {
    run -d --name lasting -m 64m box sleep 1000
    pid=$(pid_of lasting)
    kill -9 "$(cat /run/agent.pid)"
    rm -f /run/agent.pid
    start_agent
    holds "$(pid_of lasting)" "$pid"
    hythe update -m 80m --memory-swap 80m lasting
    holds "$(cat "$(group_of lasting)/memory.max")" 83886080
    hythe pause lasting
    hythe unpause lasting
    hythe rm -f lasting
}

a_bridge_and_its_rules_work() {
    hythe run -d --name web -p 8080:80 box httpd -f -p 80 -h /etc
    within 30 wget -q -O - http://127.0.0.1:8080/passwd
    address=$(hythe inspect -f '{{.NetworkSettings.IPAddress}}' web)
    hythe run --rm box wget -q -O - "http://$address/passwd" | grep -q root
    hythe rm -f web
}

the_runtime_for_other_engines_has_limits_too() {
    mkdir -p /tmp/bundle/rootfs/bin
    cp /bin/busybox /tmp/bundle/rootfs/bin
    for name in sh sleep head mknod cat; do ln -s busybox /tmp/bundle/rootfs/bin/$name; done
    cat >/tmp/bundle/config.json <<'END'
{"ociVersion": "1.0.2", "root": {"path": "rootfs"},
 "process": {"args": ["sleep", "1000"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
  "capabilities": {"bounding": ["CAP_MKNOD"], "effective": ["CAP_MKNOD"], "permitted": ["CAP_MKNOD"]}},
 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
  {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
  {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}],
 "linux": {"cgroupsPath": "/other/bundle",
  "namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "cgroup"}],
  "resources": {"memory": {"limit": 67108864, "swap": 100663296, "reservation": 33554432},
   "cpu": {"quota": 50000, "period": 100000, "shares": 512, "cpus": "0"}, "pids": {"limit": 20},
   "devices": [{"allow": false, "access": "rwm"}], "unified": {"memory.high": "60000000"}}}}
END
    runtime() { hythe runtime --root /run/bundles "$@"; }
    runtime create --bundle /tmp/bundle bundle </dev/null >/dev/null 2>&1
    runtime start bundle
    group=$GROUPS_ROOT/other/bundle
    holds "$(cat $group/memory.max)" 67108864
    holds "$(cat $group/memory.swap.max)" 33554432
    holds "$(cat $group/memory.low)" 33554432
    [ "$(cat $group/memory.high)" -gt 50000000 ]
    holds "$(cat $group/cpu.max)" "50000 100000"
    holds "$(cat $group/cpuset.cpus)" 0
    holds "$(cat $group/pids.max)" 20
    holds "$(runtime exec bundle cat /sys/fs/cgroup/pids.max)" 20
    fails runtime exec bundle sh -c 'mknod /m c 1 1 && head -c1 /m'
    runtime exec bundle head -c1 /dev/zero >/dev/null
    runtime pause bundle
    grep -q 'frozen 1' $group/cgroup.events
    fails runtime exec bundle cat /proc/1/comm
    runtime resume bundle
    echo '{"pids": {"limit": 30}}' | runtime update --resources - bundle
    holds "$(cat $group/pids.max)" 30
    runtime kill bundle KILL
    within 20 sh -c 'hythe runtime --root /run/bundles state bundle | grep -q stopped'
    runtime delete bundle
    [ ! -e $group ]
    rmdir $GROUPS_ROOT/other
}

nothing_is_left() {
    holds "$(hythe ps -aq)" ""
    holds "$(find $GROUPS_ROOT/hythe* -mindepth 1 -type d 2>/dev/null)" ""
    fails grep -q overlay /proc/self/mountinfo
}

CHECKS="the_machine_is_all_v2 limits_are_written_where_they_belong
    what_v2_does_not_have_is_warned_of
    memory_that_runs_out_kills_and_is_told a_fork_bomb_stops_at_its_limit
    processor_time_is_rationed the_freezer_stops_and_goes_on stats_have_figures
    devices_are_what_was_given block_devices_are_throttled
    the_container_sees_its_own_group_only groups_inside_keep_exec_and_removal
    an_exec_is_in_the_container_s_group a_killed_agent_finds_its_containers_and_limits
    a_bridge_and_its_rules_work the_runtime_for_other_engines_has_limits_too nothing_is_left"

if [ $# -gt 0 ]; then
    "$1"
    exit
fi

mount -t cgroup2 cgroup2 $GROUPS_ROOT
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
ip link set lo up
if start_agent && hythe import /guest/box.tar box >/dev/null; then
    for check in $CHECKS; do
        if timeout 90 sh -eux "$0" "$check" >/run/check 2>&1; then
            echo "CHECK ok $check"
        else
            echo "CHECK failed $check: $(tail -n 12 /run/check)"
        fi
    done
    echo "CHECKS DONE"
else
    echo "CHECK failed the agent does not start: $(tail -n 20 /run/agent.log)"
fi
poweroff -f
