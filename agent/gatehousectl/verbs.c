/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verbs.h"

#include "base/limits.h"

const struct verb verbs[] = {
    {
        .name = "status",
        .operands = "",
        .run = verb_status,
        .summary = "the whole at a glance: devices and sensors by state, uplinks, rotations, problems",
        .details =
            "This is what gatehousectl does without a verb. Where the agent does not run, its files are looked at for what keeps\n"
            "it from starting; the directories are for an agent that is run by hand.",
        .options = {{OPTION_CONFIG_DIR, NULL}, {OPTION_STATE_DIR, NULL}, {OPTION_KEYFILE, NULL}},
    },
    {
        .name = "list",
        .operands = "",
        .run = verb_list,
        .summary = "the devices",
        .details = "STATE, DRIVER and UPLINK may be several, with commas between them.",
        .options = {{OPTION_STATE, NULL},
                    {OPTION_SENSOR, NULL},
                    {OPTION_DRIVER, NULL},
                    {OPTION_UPLINK, NULL},
                    {OPTION_FULL, NULL}},
    },
    {
        .name = "show",
        .operands = "DEVICE",
        .min = 1,
        .max = 1,
        .run = verb_show,
        .summary = "one device: its credentials, session, points and last error",
    },
    {
        .name = "watch",
        .operands = "[DEVICE...]",
        .max = 64,
        .run = verb_watch,
        .summary = "samples, changes of state and rotations as they happen",
        .details =
            "At a terminal a table of the newest values, their ages and what happened last; with --lines, or into a\n"
            "pipe, a line an event. Until Ctrl-C, or until the agent stops (status 3).",
        .options = {{OPTION_LINES, NULL}},
    },
    {
        .name = "check",
        .operands = "",
        .run = verb_check,
        .summary = "look for what is wrong, with the cause and the command that mends it",
        .details =
            "It looks at this machine with the caller's rights, so as root it sees more, and asks the agent if that\n"
            "runs. Where it does not, a handshake is tried with each device's key. The keyfile is root's, so run it as\n"
            "root; where the agent is started by hand, as the user who owns its keyfile.\n"
            "Status 0: nothing, or notes; 1: warnings; 2: errors. gatehouse-check(7) has the findings.",
        .options = {{OPTION_LIST, "show the findings that there are"},
                    {OPTION_CONFIG_DIR, NULL},
                    {OPTION_STATE_DIR, NULL},
                    {OPTION_KEYFILE, NULL},
                    {OPTION_PLUGIN_DIR, NULL},
                    {OPTION_DRIVER_PROGRAM, NULL},
                    {OPTION_AGENT_PROGRAM, "what tries handshakes (" GATEHOUSED ")"},
                    {OPTION_ROOT, "look at the files of the system in this directory, and ask no agent"}},
    },
    {
        .name = "rotate",
        .operands = "DEVICE...|--all",
        .max = 10000,
        .run = verb_rotate,
        .summary = "give devices a new key, and wait for it",
        .details =
            "It tells what it waits for, and until when. Ended while it waits, the rotation goes on; so it does after\n"
            "--timeout, with status 1.",
        .options =
            {{OPTION_ALL, "every device"}, {OPTION_COMPROMISED, NULL}, {OPTION_NO_WAIT, NULL}, {OPTION_TIMEOUT, NULL}},
    },
    {
        .name = "job list",
        .operands = "",
        .run = verb_job_list,
        .summary = "long operations of the agent",
        .details = "Jobs stay listed for 10 minutes after their end.",
    },
    {
        .name = "job wait",
        .operands = "NUMBER",
        .min = 1,
        .max = 1,
        .run = verb_job_wait,
        .summary = "wait for a job, and show how it ended",
    },
    {
        .name = "job cancel",
        .operands = "NUMBER",
        .min = 1,
        .max = 1,
        .run = verb_job_cancel,
        .summary = "begin nothing more of a job",
    },
    {
        .name = "scan",
        .operands = "DRIVER [URL|WHICH] [KEY=VALUE...]",
        .min = 1,
        .max = 16,
        .run = verb_scan,
        .summary = "look for sensors, configured or not",
        .details =
            "For modbus URL is a bus: tcp://HOST[:PORT], rtu:/dev/NAME[?baud=...], rtu+tcp://HOST:PORT. KEY=VALUE are\n"
            "settings of a device's file, as rs485=rts. Interrupted, gatehousectl leaves the scan running: see job list,\n"
            "job wait and job cancel.\n"
            "For ble WHICH is one of what is found: its number, address or id. Its device file is printed, or with --add\n"
            "added; --add alone asks which. A number is that of this scan: scripts give the address.",
        .options = {{OPTION_ADD, NULL},
                    {OPTION_UNITS, NULL},
                    {OPTION_UPLINK, "of the device (that of the others, else cloud)"},
                    {OPTION_TIMEOUT, "for which a unit is waited (300ms)"},
                    {OPTION_TRACE, NULL}},
    },
    {
        .name = "read",
        .operands = "DEVICE [POINT]|--latest DEVICE...|--all|--url=URL",
        .max = 10000,
        .run = verb_read,
        .summary = "read a point from its sensor, all points as they are known, or registers of any",
        .details =
            "With a POINT its sensor is asked. Without one, with --latest and with --all the newest value of each point\n"
            "is shown, with its age, as far as any has come.\n"
            "With --url no device need be configured: --read says what is read, and operands KEY=VALUE are settings\n"
            "of a device's file. Several of WHAT, with commas between them, are a request each.",
        .options = {{OPTION_LATEST, NULL},
                    {OPTION_ALL, "the newest values of every device"},
                    {OPTION_URL, NULL},
                    {OPTION_UNIT, NULL},
                    {OPTION_READ, NULL},
                    {OPTION_TIMEOUT, "for which the unit is waited (1s)"},
                    {OPTION_TRACE, NULL}},
    },
    {
        .name = "write",
        .operands = "DEVICE POINT VALUE|POINT=VALUE...",
        .min = 2,
        .max = 1 + LINK_WRITES_MAX,
        .run = verb_write,
        .summary = "write points, and show what the device really has then",
        .details =
            "VALUE is true, false, a number or a text, as its form says. Negative numbers need no \"--\" before "
            "them;\nother texts that begin with a dash do. Points given as POINT=VALUE are written together, in as "
            "few\nrequests to the device as possible; all are checked before the first is written.",
        .options = {{OPTION_TYPE, NULL}},
    },
    {
        .name = "key set",
        .operands = "DEVICE IDENTITY|--kind=bind|--kind=login [FILE]",
        .min = 1,
        .max = 3,
        .local = true,
        .run = verb_key_set,
        .summary = "put a key into main if that is empty, else into backup",
        .details = "The key is read from FILE or standard input; at a terminal it is asked for, and not shown.\n"
                   "With --kind=bind it is the sensor's own, in hex as the makers' apps show it, and has no identity.\n"
                   "With --kind=login it is what an uplink over MQTT wants beside the key: a line with the user name\n"
                   "(or access token) and one with the password, if there is one, 126 bytes together.",
        .options = {{OPTION_KIND, NULL},
                    {OPTION_ENCODING, "of the key: raw (default; with --kind=bind hex), hex, base64, text"},
                    {OPTION_FORCE, "take a weak key, or put it in place of a refused or damaged one"}},
    },
    {
        .name = "key forget",
        .operands = "DEVICE SLOT|--kind=bind|--kind=login",
        .min = 1,
        .max = 2,
        .run = verb_key_forget,
        .summary = "forget a key, backup as soon as that is safe",
        .details = "SLOT is main or backup. A sensor's own key and a login have none.",
        .options = {{OPTION_KIND, NULL}, {OPTION_FORCE, "forget a key that may be in use, at once"}},
    },
    {
        .name = "key counter-reset",
        .operands = "DEVICE",
        .min = 1,
        .max = 1,
        .run = verb_key_counter_reset,
        .summary = "take a sensor's encrypted messages whatever their counter, from the next one on",
        .details = "For a sensor that counts from zero again and is not believed. It opens the way to a\n"
                   "recording of what it sent before, once.",
    },
    {
        .name = "key promote",
        .operands = "DEVICE",
        .min = 1,
        .max = 1,
        .run = verb_key_promote,
        .summary = "try the backup key now, which becomes main if it is accepted",
    },
    {
        .name = "key export",
        .operands = "DEVICE SLOT [FILE]",
        .min = 2,
        .max = 3,
        .local = true,
        .run = verb_key_export,
        .summary = "write a key to a new FILE (mode 0600), or to a pipe",
        .details = "SLOT is main or backup. A terminal is never written a key.",
        .options = {{OPTION_ENCODING, "of what is written: raw (default), hex, base64"}},
    },
    {
        .name = "device add",
        .operands = "DEVICE [FILE]",
        .min = 1,
        .max = 2,
        .run = verb_device_add,
        .summary = "add a device, its JSON from FILE or standard input",
    },
    {
        .name = "device remove",
        .operands = "DEVICE",
        .min = 1,
        .max = 1,
        .run = verb_device_remove,
        .summary = "remove a device that was added this way",
        .details = "It asks first. Without a terminal to ask at it needs --yes.",
        .options = {{OPTION_FORCE, "forget its credentials, also if they are left at the cloud"}, {OPTION_KEEP, NULL}},
    },
    {
        .name = "provision",
        .operands = "FILE|--count=N|--directory=DIR",
        .max = 1,
        .local = true,
        .run = verb_provision,
        .summary = "create devices and keys from a list",
        .details =
            "All or nothing: a list with a mistake makes no device. FILE - is standard input.\n"
            "With --directory each *.csv of DIR is taken once: NAME.json beside it, or template.json, is its template;\n"
            "the cloud has the keys of NAME.registered.csv already. What was taken is deleted, and NAME.csv.done says so.",
        .options = {{OPTION_FORMAT, "of the list: csv (default), mosquitto, emqx, hono, golioth"},
                    {OPTION_TEMPLATE, NULL},
                    {OPTION_REGISTERED, NULL},
                    {OPTION_SKIP_EXISTING, NULL},
                    {OPTION_COUNT, NULL},
                    {OPTION_DIRECTORY, NULL},
                    {OPTION_PREFIX, NULL},
                    {OPTION_FORCE, "take weak keys"}},
    },
    {
        .name = "export",
        .operands = "FORMAT [FILE]",
        .min = 1,
        .max = 2,
        .local = true,
        .run = verb_export,
        .summary = "write all keys to a new FILE (mode 0600), or to a pipe",
        .details = "FORMAT is csv, mosquitto, emqx, hono or golioth. A terminal is never written keys.",
        .options = {{OPTION_UPLINK, NULL}},
    },
    {
        .name = "connect",
        .operands = "DEVICE...|--all",
        .max = 10000,
        .run = verb_connect,
        .summary = "connect devices at once",
        .options = {{OPTION_ALL, "every device"}},
    },
    {
        .name = "disconnect",
        .operands = "DEVICE...|--all",
        .max = 10000,
        .run = verb_disconnect,
        .summary = "close devices' sessions and keep them closed",
        .options = {{OPTION_ALL, "every device"}},
    },
    {
        .name = "apply",
        .operands = "DIR",
        .min = 1,
        .max = 1,
        .local = true,
        .run = verb_apply,
        .summary = "make the files of a directory the configuration, all or nothing",
        .details =
            "DIR may have gatehouse.json, devices.d and profiles. What it has becomes as it is there, files that it has not\n"
            "are removed; what it has not at all is left alone. It is checked first, then put in place and reloaded; if that\n"
            "fails everything is put back. A second time it changes nothing.",
        .options = {{OPTION_DRY_RUN, NULL},
                    {OPTION_CONFIG_DIR, NULL},
                    {OPTION_STATE_DIR, "of the agent, with devices added over D-Bus (" STATE_DIR ")"},
                    {OPTION_AGENT_PROGRAM, NULL}},
    },
    {
        .name = "metrics",
        .operands = "[FILE]",
        .max = 1,
        .run = verb_metrics,
        .summary = "counts and states for monitoring, as OpenMetrics text",
        .details = "FILE is replaced as a whole. If the agent is not running there is gatehouse_up 0, and status 3.",
        .options = {{OPTION_FORMAT, "of the text: openmetrics (default), prometheus (for node-exporter's textfiles)"}},
    },
    {
        .name = "reload",
        .operands = "",
        .run = verb_reload,
        .summary = "reload the configuration (all or nothing)",
    },
    {
        .name = "vault init",
        .operands = "--keyfile=FILE",
        .local = true,
        .run = verb_vault_init,
        .summary = "make a keyfile",
        .options = {{OPTION_KEYFILE, "the keyfile to make"}},
    },
    {
        .name = "vault verify",
        .operands = "",
        .run = verb_vault_verify,
        .summary = "open every record of the vault",
    },
    {
        .name = "vault rekey",
        .operands = "",
        .local = true,
        .run = verb_vault_rekey,
        .summary = "reseal the vault under a new keyfile",
        .options = {{OPTION_KEYFILE, NULL}},
    },
    {
        .name = "vault recovery-key",
        .operands = "",
        .local = true,
        .run = verb_vault_recovery_key,
        .summary = "make a second key that opens the vault, and print it once",
    },
    {
        .name = "vault backup",
        .operands = "FILE",
        .min = 1,
        .max = 1,
        .local = true,
        .run = verb_vault_backup,
        .summary = "write a sealed copy of the vault to a new file",
        .options = {{OPTION_KEYFILE, NULL}},
    },
    {
        .name = "vault restore",
        .operands = "FILE",
        .min = 1,
        .max = 1,
        .local = true,
        .run = verb_vault_restore,
        .summary = "show how a backup is restored",
        .options = {{OPTION_KEYFILE, NULL}, {OPTION_FORCE, "restore it although the present vault is newer"}},
    },
    {
        .name = "vault reset",
        .operands = "--for-image",
        .local = true,
        .run = verb_vault_reset,
        .summary = "remove keyfile and vault, before an image is taken of this machine",
        .details = "It asks first, unless there is --yes.",
        .options = {{OPTION_FOR_IMAGE, NULL}, {OPTION_KEYFILE, NULL}, {OPTION_STATE_DIR, NULL}},
    },
    {
        .name = "support-bundle",
        .operands = "FILE",
        .min = 1,
        .max = 1,
        .local = true,
        .run = verb_support_bundle,
        .summary = "write what helps others to help to a new FILE (mode 0600), without keys",
        .details =
            "States, configuration, versions and the journal as text. What may be a key or a password is taken out; look it\n"
            "through before you send it.",
        .options = {{OPTION_CONFIG_DIR, NULL}, {OPTION_STATE_DIR, "of the agent (" STATE_DIR ")"}},
    },
    {
        .name = "help",
        .operands = "[VERB]",
        .max = 2,
        .local = true,
        .run = verb_help,
        .summary = "show how gatehousectl, or one verb of it, is called",
        .details = "Under --json: every verb with its operands and options.",
    },
};

const size_t n_verbs = ELEMENTSOF(verbs);

const struct verb_option *verb_option(const struct verb *verb, enum option_id id)
{
    for (const struct verb_option *o = verb->options; o->id != OPTION_END; o++)
        if (o->id == id)
            return o;
    return NULL;
}
