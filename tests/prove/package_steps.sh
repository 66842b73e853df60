#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# In the booted system of package_cuts.py: `live` installs, starts, gives a key, upgrades and rekeys, and says what is done;
# `recover` does after a power cut what an administrator does, and tells what became of it.
set -u
export DEBIAN_FRONTEND=noninteractive
earlier=$(cat /t/earlier) now=$(cat /t/now)

# Half a minute of looking is enough for a start; a machine that stands still gets ten.
wait_for() {
    left=3000
    until "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 0.2
    done
}
runs() { systemctl --quiet is-active gatehouse && busctl --quiet call org.gatehouse1 /org/gatehouse1 org.freedesktop.DBus.Peer Ping; }
install() { apt_get --allow-downgrades install "gatehouse=$1" "gatehouse-devcloud=$1"; }
done_with() { echo "$1" >>/t/progress; }

index() { apt-get -qq update; }

# Debian's own way to have nothing started by an install: so that the first start is a step of its own.
without_a_start() {
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    "$@"
    rm /usr/sbin/policy-rc.d
}

live() {
    set -e
    without_a_start install "$earlier"
    sync
    done_with installed
    systemctl start gatehouse
    wait_for runs
    sync
    done_with started
    cp /usr/share/doc/gatehouse/examples/gatehouse.json /etc/gatehouse/
    cp /usr/share/doc/gatehouse/examples/sim-1.json /etc/gatehouse/devices.d/
    sync
    systemctl reload gatehouse
    od -An -tx1 -N32 /dev/urandom | tr -d ' \n' | gatehousectl key set sim-1 first-1 --encoding=hex
    done_with keyed
    install "$now"
    wait_for runs
    done_with upgraded
    gatehousectl vault rekey
    done_with rekeyed
    sync
}

said() { printf '{"recovered": %s, "by_itself": %s, "version": "%s", "why": "%s"}\n' "$1" "$by_itself" "$version" "$2" >/t/results; }

recover() {
    by_itself=false version=
    [ ! -x /usr/sbin/gatehoused ] || ! systemctl --quiet is-enabled gatehouse || { wait_settled && by_itself=true; }
    mend || { said false "what dpkg and apt mend: $(dpkg --audit | tr '"\n' "' ")"; return; }
    version=$(dpkg-query -W -f='${db:Status-Status} ${Version}' gatehouse 2>/dev/null)
    case $version in
    "installed $earlier" | "installed $now") ;;
    *) # before the first install: it can still be made
        [ "$(cat /t/reached)" -lt 1 ] || { said false "neither the old nor the new: $version"; return; }
        install "$earlier" || { said false "the install cannot be repeated"; return; }
        ;;
    esac
    [ "$(dpkg-query -W -f='${Version}' gatehouse)" = "$(dpkg-query -W -f='${Version}' gatehouse-devcloud 2>/dev/null)" ] ||
        install "$now" || { said false "the packages do not go together"; return; }
    systemctl reset-failed gatehouse 2>/dev/null
    systemctl start gatehouse
    wait_for runs || { said false "the agent does not start"; return; }
    gatehousectl vault verify || { said false "the vault"; return; }
    if [ "$(cat /t/reached)" -ge 3 ]; then
        gatehousectl --json=short show sim-1 | grep -q '"main_identity":"first-1"' || { said false "the key that was set is lost"; return; }
    fi
    { gatehousectl vault rekey && [ ! -e /etc/gatehouse/keys/next ]; } || { said false "no rekey is possible"; return; }
    said true ""
}

# What Debian has for it, as doc/raspberry-pi.md says it: dpkg finishes what it can; apt brings what is missing and what has to go
# together, before which it takes no package by name; what the audit still names is to be installed again, all of it in one go, as these
# may need each other. Then nothing is amiss.
mend() {
    dpkg --force-confdef --configure -a
    apt_get -f install
    named=$(dpkg --audit | sed -n 's/^ \([a-z0-9][^ ]*\).*/\1/p' | sort -u | tr '\n' ' ')
    # shellcheck disable=SC2086 # names, one word each
    [ -z "$named" ] || apt_get --reinstall install $named || return
    apt_get -f install && [ -z "$(dpkg --audit)" ]
}
apt_get() { apt-get -qq -y -o Dpkg::Options::=--force-confdef "$@"; }

wait_settled() {
    wait_for settled && systemctl --quiet is-active gatehouse
}
settled() { systemctl is-active gatehouse | grep -Eq '^(active|failed|inactive)'; }

"$(cat /t/mode)" >/t/steps.log 2>&1
echo "$?" >/t/status
