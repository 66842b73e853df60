/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "options.h"

#include "base/names.h"
#include "base/options.h"

#include <stdio.h>
#include <stdlib.h>

static void usage(FILE *to)
{
    fputs(
        "usage: gatehoused [OPTION...]\n\n"
        "  --config-dir DIR        gatehouse.json, devices.d and profiles (" CONFIG_DIR ")\n"
        "  --state-dir DIR         vault.db and devices added over D-Bus (" STATE_DIR ")\n"
        "  --runtime-dir DIR       the drivers' socket (" RUNTIME_DIR
        "); drivers of the own user may then name themselves\n"
        "  --registrar-dir DIR     the registrars' sockets, NAME.sock (" REGISTRAR_DIR ")\n"
        "  --keyfile FILE          the key that opens the vault (default: the systemd credential key_current)\n"
        "  --allow-volatile-state  rotate keys even if what is committed would not outlive a reboot: for demonstrations\n"
        "  --check-config          check the configuration and end: status 0, or 78 with all mistakes\n"
        "  --driver-program FILE   with --check-config: what hosts a plugin (" GATEHOUSE_DRIVER ")\n"
        "  --plugin-dir DIR        where plugins are, of which the agent looks at names and headers only (" GATEHOUSE_PLUGIN_DIR
        ")\n"
        "  --check-handshakes      while the agent does not run: try a handshake with each device's key, print what is\n"
        "                          found as JSON, and end; gatehousectl check calls it\n"
        "  --user NAME             with --check-config or --check-handshakes, as root: as whom the agent runs (gatehouse)\n"
        "  --verify-vault          open every record of the vault and end\n"
        "  --can-open VAULT        say whether this version can open a vault, which may be in use and is not changed, and end\n"
        "  --backup FILE           write a sealed copy of the vault to a new file and end\n"
        "  --restore FILE          put a backup back in place of the vault and end; tells what is newer, and then wants\n"
        "                          --force\n"
        "  --force                 with --restore: although the present vault has newer keys, or cannot be compared\n"
        "  --backup-keyfile FILE   with --restore: the keyfile of the backup's time, if it is not the present one\n"
        "  --recover               open the vault with the recovery key, read from standard input, and make it open with the\n"
        "                          present keyfile and bind value; with --restore: open the backup with it\n"
        "  --debug                 say more\n"
        "  -h, --help   --version\n",
        to);
}

enum {
    OPTION_CONFIG_DIR = 256,
    OPTION_STATE_DIR,
    OPTION_RUNTIME_DIR,
    OPTION_REGISTRAR_DIR,
    OPTION_KEYFILE,
    OPTION_VOLATILE,
    OPTION_CHECK,
    OPTION_DRIVER_PROGRAM,
    OPTION_PLUGIN_DIR,
    OPTION_USER,
    OPTION_HANDSHAKES,
    OPTION_VERIFY,
    OPTION_CAN_OPEN,
    OPTION_BACKUP,
    OPTION_RESTORE,
    OPTION_BACKUP_KEYFILE,
    OPTION_FORCE,
    OPTION_RECOVER,
    OPTION_DEBUG,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"config-dir", required_argument, NULL, OPTION_CONFIG_DIR},
    {"state-dir", required_argument, NULL, OPTION_STATE_DIR},
    {"runtime-dir", required_argument, NULL, OPTION_RUNTIME_DIR},
    {"registrar-dir", required_argument, NULL, OPTION_REGISTRAR_DIR},
    {"keyfile", required_argument, NULL, OPTION_KEYFILE},
    {"allow-volatile-state", no_argument, NULL, OPTION_VOLATILE},
    {"check-config", no_argument, NULL, OPTION_CHECK},
    {"driver-program", required_argument, NULL, OPTION_DRIVER_PROGRAM},
    {"plugin-dir", required_argument, NULL, OPTION_PLUGIN_DIR},
    {"user", required_argument, NULL, OPTION_USER},
    {"check-handshakes", no_argument, NULL, OPTION_HANDSHAKES},
    {"verify-vault", no_argument, NULL, OPTION_VERIFY},
    {"can-open", required_argument, NULL, OPTION_CAN_OPEN},
    {"backup", required_argument, NULL, OPTION_BACKUP},
    {"restore", required_argument, NULL, OPTION_RESTORE},
    {"backup-keyfile", required_argument, NULL, OPTION_BACKUP_KEYFILE},
    {"recover", no_argument, NULL, OPTION_RECOVER},
    {"force", no_argument, NULL, OPTION_FORCE},
    {"debug", no_argument, NULL, OPTION_DEBUG},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPTION_VERSION},
    {0},
};

/* Takes an option of --check-config. */
static void take_check(struct options *o, int option)
{
    if (option == OPTION_DRIVER_PROGRAM)
        o->driver_program = optarg;
    else if (option == OPTION_PLUGIN_DIR)
        o->plugin_dir = optarg;
    else
        o->user = optarg;
}

/* Takes a file of what is done to the whole vault. */
static void take_vault(struct options *o, int option)
{
    if (option == OPTION_CAN_OPEN)
        o->can_open = optarg;
    else if (option == OPTION_BACKUP)
        o->backup = optarg;
    else if (option == OPTION_RESTORE)
        o->restore = optarg;
    else
        o->backup_keyfile = optarg;
}

/* 0, or -1 when it was said what is wrong, or 1 when all was said. */
static int take(struct options *o, int option)
{
    switch (option) {
    case OPTION_CONFIG_DIR:
        o->config_dir = optarg;
        return 0;
    case OPTION_STATE_DIR:
        o->state_dir = optarg;
        return 0;
    case OPTION_RUNTIME_DIR:
        o->runtime_dir = optarg;
        o->by_hand = true;
        return 0;
    case OPTION_REGISTRAR_DIR:
        o->registrar_dir = optarg;
        return 0;
    case OPTION_KEYFILE:
        o->keyfile = optarg;
        return 0;
    case OPTION_VOLATILE:
        o->allow_volatile_state = true;
        return 0;
    case OPTION_CHECK:
        o->check_config = true;
        return 0;
    case OPTION_DRIVER_PROGRAM:
    case OPTION_PLUGIN_DIR:
    case OPTION_USER:
        take_check(o, option);
        return 0;
    case OPTION_HANDSHAKES:
        o->check_handshakes = true;
        return 0;
    case OPTION_VERIFY:
        o->verify_vault = true;
        return 0;
    case OPTION_CAN_OPEN:
    case OPTION_BACKUP:
    case OPTION_RESTORE:
    case OPTION_BACKUP_KEYFILE:
        take_vault(o, option);
        return 0;
    case OPTION_RECOVER:
        o->recover = true;
        return 0;
    case OPTION_FORCE:
        o->force = true;
        return 0;
    case OPTION_DEBUG:
        o->debug = true;
        return 0;
    case OPTION_VERSION:
        puts("gatehoused " GATEHOUSE_VERSION);
        return 1;
    case 'h':
        usage(stdout);
        return 1;
    default: /* getopt's own '?' */
        return -1;
    }
}

/* Refuses options that exclude each other. Two acts in one call would leave their order to guess. */
static int check_together(const struct options *o)
{
    int acts = o->check_config + o->check_handshakes + o->verify_vault + (o->can_open != NULL) + (o->backup != NULL) +
               (o->restore != NULL);

    if (acts > 1)
        fputs(
            "gatehoused: one of --check-config, --check-handshakes, --verify-vault, --can-open, --backup and --restore at a time\n",
            stderr);
    else if (o->recover && acts > 0 && !o->restore)
        fputs("gatehoused: --recover goes by itself or with --restore\n", stderr);
    else if (o->driver_program && !o->check_config)
        fputs("gatehoused: --driver-program goes with --check-config only\n", stderr);
    else if (o->user && !o->check_config && !o->check_handshakes)
        fputs("gatehoused: --user goes with --check-config or --check-handshakes only\n", stderr);
    else if ((o->force || o->backup_keyfile) && !o->restore)
        fprintf(stderr, "gatehoused: %s goes with --restore only\n", o->force ? "--force" : "--backup-keyfile");
    else
        return 0;
    return -1;
}

int options_parse(int argc, char **argv, struct options *ret, int *ret_status)
{
    int option, r = 0;

    *ret = (struct options){
        .config_dir = CONFIG_DIR, .state_dir = STATE_DIR, .runtime_dir = RUNTIME_DIR, .registrar_dir = REGISTRAR_DIR};
    while (r == 0 && (option = options_next(argc, argv, "h", long_options)) != -1)
        r = take(ret, option);
    if (r == 0 && optind < argc) {
        fprintf(stderr, "gatehoused: it takes no arguments, not '%s'\n", argv[optind]);
        r = -1;
    }
    if (r == 0)
        r = check_together(ret);
    ret->driver_program = ret->driver_program ?: GATEHOUSE_DRIVER;
    ret->plugin_dir = ret->plugin_dir ?: GATEHOUSE_PLUGIN_DIR;
    ret->user = ret->user ?: "gatehouse";
    if (r == 0)
        return 0;
    *ret_status = r > 0 ? EXIT_SUCCESS : EXIT_USAGE;
    return r;
}
