#!/bin/sh
# The first process of a guest. testbed.machine.guest fills in the names; two dollar signs stand for one.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

give_up() {
    echo "testbed: the guest could not be set up: $$1"
    ${power_off}
    exit 1
}

share() {
    mkdir -p ".$$1" && mount -t "$$2" -o "$$4" "$$3" ".$$1" || give_up "$$1 is not shared"
}

mount -t tmpfs -o mode=0755,size=75% tmpfs /tmp || give_up "no tmpfs"
mkdir /tmp/upper /tmp/work /tmp/root
mount -t overlay -o lowerdir=${lower},upperdir=/tmp/upper,workdir=/tmp/work overlay /tmp/root ||
    give_up "no overlay"
cd /tmp/root || give_up "no overlay"
mount -t proc proc ./proc || give_up "no /proc"
mount -t sysfs sysfs ./sys || give_up "no /sys"
mount -t devtmpfs devtmpfs ./dev || give_up "no /dev"
mkdir -p ./dev/pts ./dev/shm
mount -t devpts -o mode=0620,ptmxmode=0666 devpts ./dev/pts
mount -t tmpfs -o mode=1777 tmpfs ./dev/shm
mount -t tmpfs -o mode=0755 tmpfs ./run
${shares}
modules=${modules}
[ -z "$$modules" ] || [ -e "./lib/modules/$${modules##*/}" ] || {
    mkdir -p ./lib/modules
    ln -s "$$modules" ./lib/modules/
}

cat > ./run/testbed-job << 'END-OF-JOB'
echo $$$$ > /run/testbed-group
cd ${directory} || exit 126
exec env -i ${environment} ${argv}
END-OF-JOB

cat > ./run/testbed-init << 'END-OF-INIT'
ip link set lo up
${prepare}
exec 9>> ${status}
echo ${up} >&9
(while sleep ${beat}; do echo ${alive} >&9; done) &
if [ -n "${interrupt}" ]; then
    (while read -r _; do kill -s INT -- "-$$(cat /run/testbed-group)"; done < "${interrupt}") &
fi
setsid --wait ${terminal} sh /run/testbed-job < ${stdin} > ${stdout} 2> ${stderr}
status=$$?
room=$$(df --output=avail / | tail -n 1)
[ "$$room" -gt 0 ] || echo ${full} >&9
sync
echo "${exit} $$status" >&9
${power_off}
END-OF-INIT

# Moving it over / and not only entering it: else no user namespace could be made in there.
mount -n --move . / || give_up "the overlay is not the root"
exec chroot . /bin/sh /run/testbed-init
