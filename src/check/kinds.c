/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check/kinds.h"

#include <string.h>

#define NOTE SEVERITY_NOTE
#define WARNING SEVERITY_WARNING
#define ERROR SEVERITY_ERROR

const struct finding_kind finding_kinds[FINDINGS_N] = {
    [FINDING_AGENT_STOPPED] =
        {"agent-stopped", ERROR,
         "gatehoused is not running, or does not answer on the bus. The cause is what keeps it from "
         "starting, as far as its files show it; its last words are in the journal.",
         "systemctl start gatehouse"},
    [FINDING_BAD_SETTING] =
        {"bad-setting", ERROR,
         "A configuration file has a mistake, at the file, line and column shown. A mistake in "
         "gatehouse.json keeps the agent from starting, and one in a device file keeps out that device.",
         "gatehoused --check-config"},
    [FINDING_CONFIG_UNREADABLE] =
        {"config-unreadable", ERROR,
         "The agent's user may not read a configuration file, or may not enter its directory.",
         "chown root:gatehouse FILE && chmod 0640 FILE"},
    [FINDING_CONFIG_WRITABLE] = {"config-writable", ERROR,
                                 "A user other than its owner may write a configuration file or its directory, and so "
                                 "decides where keys and samples are sent.",
                                 "chmod go-w FILE"},
    [FINDING_KEYFILE_MISSING] =
        {"keyfile-missing", ERROR,
         "There is no keyfile, and so no vault that opens. Without a vault a new keyfile is made; "
         "with one, only a copy of its own keyfile or the recovery key opens it.",
         "gatehousectl vault init --keyfile FILE"},
    [FINDING_KEYFILE_MODE] =
        {"keyfile-mode", ERROR,
         "The keyfile is of the wrong size, or others than its owner may read it. The agent refuses it, "
         "since whoever has read it can open every copy of the vault.",
         "chmod 0400 FILE"},
    [FINDING_VAULT_CLOSED] =
        {"vault-closed", ERROR,
         "The vault does not open: the keyfile or the bind value is not its own, or the file is damaged. The "
         "cause says which. A damaged one is put back from a backup: gatehoused --restore BACKUP --force. Found by a "
         "check while the agent does not run.",
         "gatehoused --recover"},
    [FINDING_CLOCK_WRONG] =
        {"clock-wrong", ERROR,
         "Nobody has set the machine's clock, or it shows a time that has been. Samples wait until it is "
         "right, except where their cloud tells the time.",
         "timedatectl set-ntp true"},
    [FINDING_TIME_ZONE] =
        {"time-zone", NOTE,
         "The configuration has a time of day, the rotation's window, and the machine's time zone is UTC: "
         "that window is then one of UTC.",
         "timedatectl set-timezone ZONE"},
    [FINDING_STATE_OWNER] =
        {"state-owner", ERROR,
         "The state directory is missing, belongs to another user than the agent's, or may be entered by "
         "others.",
         "chown gatehouse:gatehouse DIR && chmod 0700 DIR"},
    [FINDING_STATE_VOLATILE] =
        {"state-volatile", ERROR,
         "The state directory does not outlive a reboot: it is in memory, or below an overlay whose "
         "upper layer is. Keys made there would be lost, so the agent refuses to rotate.",
         "raspi-config nonint disable_overlayfs"},
    [FINDING_STATE_FULL] =
        {"state-full", ERROR,
         "The file system of the state directory is full, or nearly so: neither keys nor samples can be "
         "written.",
         "journalctl --vacuum-size=50M"},
    [FINDING_CARD_WORN] = {"card-worn", WARNING, "The memory card or eMMC reports that most of its life is used up.",
                           NULL},
    [FINDING_POLKIT_ABSENT] =
        {"polkit-absent", NOTE,
         "There is no polkit. Root and the group gatehouse-admin may do what they could otherwise, and "
         "nobody is asked for a password.",
         "apt install polkitd"},
    [FINDING_NAME_UNRESOLVED] = {"name-unresolved", ERROR, "The host name of an uplink has no address.",
                                 "resolvectl query HOST"},
    [FINDING_ROUTE_MISSING] = {"route-missing", ERROR,
                               "The machine has no route to an uplink's address: no network, or no default route.",
                               "ip route get ADDRESS"},
    [FINDING_PORT_CLOSED] = {"port-closed", ERROR, "The uplink's host answers that nothing listens on that port.",
                             NULL},
    [FINDING_SERVER_SILENT] =
        {"server-silent", ERROR,
         "Nothing comes back from an uplink's address: the server is down, or a firewall drops the "
         "packets.",
         NULL},
    [FINDING_SUITES_DIFFER] =
        {"suites-differ", ERROR,
         "The server has no cipher suite, version or group in common with those that were offered. The "
         "cause names what was offered; the key `suites` of the uplink changes it.",
         "gatehousectl reload"},
    [FINDING_HANDSHAKE_FAILED] =
        {"handshake-failed", ERROR,
         "The handshake ended for a reason of the server's, or of this machine, that says nothing "
         "about the key.",
         NULL},
    [FINDING_IDENTITY_UNKNOWN] =
        {"identity-unknown", ERROR,
         "The server says that it does not know the identity. It may be registered under another "
         "name, in another project or tenant, or not at all.",
         "gatehousectl key set DEVICE IDENTITY"},
    [FINDING_KEY_REFUSED] =
        {"key-refused", ERROR,
         "The server answers, and does not accept the key or the identity. Which of both, most servers do "
         "not say.",
         "gatehousectl key set DEVICE IDENTITY"},
    [FINDING_KEY_ENCODING] =
        {"key-encoding", ERROR,
         "The server refuses a key whose bytes are themselves hexadecimal digits or base64: it was "
         "probably stored as text, where the cloud means the bytes that the text stands for.",
         "gatehousectl key set DEVICE IDENTITY --encoding=hex"},
    [FINDING_KEY_MISSING] = {"key-missing", ERROR, "A device has no key for its uplink.",
                             "gatehousectl key set DEVICE IDENTITY"},
    [FINDING_KEY_DAMAGED] = {"key-damaged", ERROR, "The vault's record of a device does not open.",
                             "gatehousectl key set DEVICE IDENTITY --force"},
    [FINDING_KEY_UNREGISTERED] = {"key-unregistered", WARNING,
                                  "A device has a key that its cloud has not been told yet.",
                                  "gatehousectl connect DEVICE"},
    [FINDING_KEY_RESTORED] = {"key-restored", WARNING,
                              "A device's keys came from a backup, and the cloud has accepted neither of them since.",
                              "gatehousectl connect DEVICE"},
    [FINDING_CLONE] =
        {"clone", ERROR,
         "The cloud has another key under this device's identity. Usually this is a cloned gateway: two cards "
         "with one image, each of which replaces the other's keys.",
         "gatehousectl vault reset --for-image"},
    [FINDING_MESSAGES_REFUSED] =
        {"messages-refused", ERROR,
         "The key is accepted, and the server refuses the messages sent with it, or does not "
         "deliver them. The cloud may not let the identity send there, or address and profile of "
         "the uplink are not right for it.",
         "sudoedit FILE && sudo gatehousectl reload"},
    [FINDING_NO_FORWARD_SECRECY] =
        {"no-forward-secrecy", WARNING,
         "A session has no forward secrecy: recorded traffic can be read by whoever gets the key "
         "later.",
         "gatehousectl reload"},
    [FINDING_IDENTITY_TELLS] =
        {"identity-tells", WARNING,
         "An identity, which is sent in the clear, has the device's id or its hardware id in it.",
         "gatehousectl rotate DEVICE"},
    [FINDING_DEVICE_DISABLED] = {"device-disabled", NOTE, "A device is disabled in its file, or was disconnected.",
                                 "gatehousectl connect DEVICE"},
    [FINDING_HANDSHAKE_TRIED] =
        {"handshake-tried", NOTE,
         "The agent does not run, so check has made a handshake of its own for each device, at most 64 of an "
         "uplink, with the key in slot main. Nothing was sent after it, and nothing was written down.",
         NULL},
    [FINDING_SPOOL_FAILS] = {"spool-fails", ERROR, "Samples cannot be kept for a time without connection.", NULL},
    [FINDING_SAMPLES_ORPHANED] = {"samples-orphaned", WARNING,
                                  "Samples wait for a device that is not configured or was not loaded.",
                                  "gatehousectl reload"},
    [FINDING_DRIVER_MISSING] = {"driver-missing", ERROR, "The plugin that a device names is not installed.",
                                "apt install gatehouse-plugin-NAME"},
    [FINDING_PLUGIN_ABI] =
        {"plugin-abi", ERROR,
         "A plugin is there and cannot be loaded: it was built for another version of the plugin contract, "
         "or for another architecture.",
         "apt install --reinstall gatehouse-plugin-NAME"},
    [FINDING_DRIVER_AWAY] = {"driver-away", ERROR,
                             "A driver with devices is not connected to the agent. The cause is what it said last.",
                             "systemctl restart gatehouse-driver@NAME"},
    [FINDING_SENSOR_FAILED] =
        {"sensor-failed", ERROR,
         "A driver says that a sensor has failed, and why: the sensor is off or cut off, or its address in the device's "
         "file is not its own.",
         "sudoedit FILE && sudo gatehousectl reload"},
    [FINDING_SERIAL_MISSING] = {"serial-missing", ERROR, "The serial port that a device names is not there.",
                                "ls -l /dev/serial/by-id"},
    [FINDING_SERIAL_DENIED] = {"serial-denied", ERROR, "The driver's user may not open the serial port.",
                               "systemctl restart gatehouse-driver@modbus"},
    [FINDING_SERIAL_CONSOLE] =
        {"serial-console", ERROR,
         "The kernel's console, or a login, is on a serial port that a device names: it answers where "
         "the sensor should.",
         "raspi-config nonint do_serial_cons 1"},
    [FINDING_SERIAL_LATENCY] =
        {"serial-latency", WARNING,
         "A USB converter (FTDI) holds received bytes back for some milliseconds, which every request "
         "then takes longer.",
         "echo 1 > /sys/bus/usb-serial/devices/PORT/latency_timer"},
    [FINDING_BLUETOOTH_BLOCKED] = {"bluetooth-blocked", ERROR,
                                   "The Bluetooth radio is blocked, by software (rfkill) or by a switch.",
                                   "rfkill unblock bluetooth"},
    [FINDING_BLUETOOTH_ADAPTER] = {"bluetooth-adapter", ERROR,
                                   "There are Bluetooth devices, and the machine has no Bluetooth adapter.",
                                   "dmesg | grep -i bluetooth"},
    [FINDING_BLUETOOTH_DAEMON] = {"bluetooth-daemon", ERROR,
                                  "There are Bluetooth devices, and bluetoothd is not running.",
                                  "systemctl enable --now bluetooth"},
    [FINDING_NOT_LOOKED] = {"not-looked", NOTE, "Something could not be looked at, usually for lack of rights.",
                            "sudo gatehousectl check"},
};

const char *severity_name(enum severity severity)
{
    switch (severity) {
    case SEVERITY_NOTE:
        return "note";
    case SEVERITY_WARNING:
        return "warning";
    case SEVERITY_ERROR:
        return "error";
    }
    return "error";
}

enum finding_id finding_by_name(const char *name)
{
    for (int i = 0; i < FINDINGS_N; i++)
        if (strcmp(finding_kinds[i].name, name) == 0)
            return (enum finding_id)i;
    return FINDINGS_N;
}
