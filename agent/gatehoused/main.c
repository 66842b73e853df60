/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gatehoused: opens the vault, brings up the fleet and the bus, and runs the loop. */
#include "can-open.h"
#include "care.h"
#include "check.h"
#include "dumps.h"
#include "handshakes.h"
#include "loop.h"
#include "options.h"

#include "base/clock.h"
#include "base/durable.h"
#include "base/keyfile-path.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/names.h"
#include "base/startup.h"
#include "bus/bus.h"
#include "doctor/doctor.h"
#include "vault/bind.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#define RELOAD_AGAIN (50 * USEC_PER_MSEC)

struct agent {
    struct options options;
    sd_event *event;
    struct arena *arena;
    struct vault *vault;
    struct config *config;
    struct mistakes mistakes; /* in what was not loaded */
    struct fleet *fleet;
    struct bus *bus;
    char told[CHECK_PROBLEM_TEXT + 512]; /* the service manager, last */
};

static void agent_done(struct agent *a)
{
    bus_free(a->bus);
    fleet_free(a->fleet);
    vault_free(a->vault);
    arena_free(a->arena);
    mistakes_done(&a->mistakes);
    config_unref(a->config);
    sd_event_unref(a->event);
}

static int load_config(struct agent *a)
{
    const struct config_paths paths = {.config_dir = a->options.config_dir, .state_dir = a->options.state_dir};
    char text[ERROR_TEXT_MAX];
    int r = config_load(&paths, a->options.check_config ? CONFIG_STRICT : CONFIG_LENIENT, &a->config, &a->mistakes);

    if (r >= 0)
        r = fleet_check_profiles(a->config, a->options.config_dir, a->options.check_config, &a->mistakes);
    if (r >= 0 && a->options.check_config)
        r = check_installed(&a->options, a->config, &a->mistakes);
    if (r >= 0 && a->options.check_config && a->mistakes.n_all > 0)
        r = -EBADMSG;
    for (size_t i = 0; i < a->mistakes.n; i++) {
        mistake_format(&a->mistakes.list[i], text, sizeof(text));
        log_error(a->mistakes.list[i].device, "%s", text);
    }
    if (r < 0 && a->mistakes.n == 0)
        log_error(NULL, "cannot read the configuration in %s: %s", a->options.config_dir, strerrordesc_np(-r));
    return r < 0 ? EXIT_CONFIG : 0;
}

/* The vault was rekeyed, but the new keyfile did not get to its place. */
static void finish_rekey(struct agent *a)
{
    char next[PATH_MAX];

    if (a->options.keyfile && keyfile_next_path(a->options.keyfile, next, sizeof(next)) == 0 &&
        durable_rename(AT_FDCWD, next, a->options.keyfile, NULL) >= 0)
        log_notice(NULL, "a rekey that was cut short is finished: %s took the place of %s", next, a->options.keyfile);
    else
        log_warning(NULL, "the vault was opened with the next keyfile, since a rekey was cut short: "
                          "gatehousectl vault rekey finishes it; until then that keyfile must stay");
}

static int open_vault(struct agent *a)
{
    char path[4096];
    const char *why;
    struct bind_value bind;
    struct error e = {0};
    int r;

    snprintf(path, sizeof(path), "%s/" VAULT_FILE, a->options.state_dir);
    r = arena_new(&a->arena, &e);
    if (r >= 0)
        r = bind_read(a->config->vault.bind, &bind, &e);
    if (r >= 0)
        r = vault_open(a->event, a->arena,
                       &(struct vault_options){.path = path,
                                               .keyfile = a->options.keyfile,
                                               .bind = bind.size > 0 ? bind.bytes : NULL,
                                               .bind_size = bind.size,
                                               .adopt_bind = true,
                                               .allow_volatile = a->options.allow_volatile_state},
                       &a->vault, &e);
    explicit_bzero(&bind, sizeof(bind));
    if (r < 0) {
        log_error(NULL, "%s", e.text[0] ? e.text : strerrordesc_np(-r));
        if (r == -EKEYREJECTED || r == -ENOKEY) {
            care_ways_back(&a->options, a->config, path);
            return EXIT_CONFIG;
        }
        return r == -EBUSY ? EXIT_LOCKED : EXIT_FAILURE;
    }
    if (!vault_durable(a->vault, &why) || why)
        log_warning(NULL, "%s", why);
    if (vault_put_back(a->vault))
        log_error(NULL, "%s: %s", path, vault_put_back(a->vault));
    if (vault_opened_with_next(a->vault))
        finish_rekey(a);
    return 0;
}

static void on_problem(const char *device, const char *uplink, const char *reason, void *userdata)
{
    log_error(device, "its record for uplink %s: %s", uplink, reason);
}

static int verify_vault(struct agent *a)
{
    static const struct vault_verify_handler handler = {.problem = on_problem};
    int r = vault_verify_sync(a->vault, &handler, NULL);

    if (r < 0)
        log_error(NULL, "cannot verify the vault: %s", strerrordesc_np(-r));
    else
        log_info(NULL, "%zu entries looked at, %d with problems", vault_entries(a->vault), r);
    return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Sets the status that `systemctl status` shows; the same one is not told twice. */
static void tell_status(struct agent *a, const char *state)
{
    struct fleet_totals totals;
    char text[256], problem[CHECK_PROBLEM_TEXT], all[sizeof(a->told)];
    size_t mistakes = fleet_mistakes(a->fleet, NULL, NULL);
    int bad = 0;

    fleet_totals(a->fleet, &totals);
    snprintf(text, sizeof(text), "%" PRIu32 " of %" PRIu32 " devices online", totals.online, totals.devices);
    for (int i = 0; i < SENSOR_STATES; i++)
        if (sensor_state_bad((enum sensor_state)i) && totals.sensors[i] > 0) {
            size_t n = strlen(text);

            snprintf(text + n, sizeof(text) - n, "%s%" PRIu32 " %s", bad++ ? ", " : "; sensors: ", totals.sensors[i],
                     sensor_state_name((enum sensor_state)i));
        }
    if (mistakes > 0)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "; %zu mistake%s in files: see gatehousectl status",
                 mistakes, mistakes == 1 ? "" : "s");
    doctor_problem(a->fleet, problem, sizeof(problem));
    snprintf(all, sizeof(all), "%s%s%s", text, problem[0] ? "; " : "", problem);
    if (state[0] == 0 && strcmp(all, a->told) == 0)
        return;
    memcpy(a->told, all, sizeof(all));
    sd_notifyf(0, "%sSTATUS=%s", state, all);
}

static void on_ready(void *userdata)
{
    log_info(NULL, "ready");
    tell_status(userdata, "READY=1\n");
}

static void on_changed(void *userdata)
{
    tell_status(userdata, "");
}

static void on_name_lost(void *userdata, const char *why)
{
    struct agent *a = userdata;

    log_error(NULL, "cannot have the bus name " BUS_NAME ": %s", why);
    sd_event_exit(a->event, EXIT_FAILURE);
}

static void on_reloaded(int r, const struct error *e, void *userdata)
{
    if (r < 0)
        log_error(NULL, "the configuration stays as it was: %s", e->text);
}

static void reload(struct agent *a);

static int on_reload_again(sd_event_source *source, uint64_t usec, void *userdata)
{
    reload(userdata);
    return 0;
}

static void reload(struct agent *a)
{
    struct error e = {0};
    int r = fleet_reload(a->fleet, on_reloaded, NULL, &e);

    /* The reading under way may have passed what the signal was sent for. */
    if (r == -EBUSY)
        r = sd_event_add_time_relative(a->event, NULL, CLOCK_BOOTTIME, RELOAD_AGAIN, 0, on_reload_again, a);
    if (r < 0)
        log_error(NULL, "the configuration is not read again: %s", e.text[0] ? e.text : strerrordesc_np(-r));
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    reload(userdata);
    return 0;
}

static void on_stopped(int r, void *userdata)
{
    struct agent *a = userdata;

    if (r < 0)
        log_error(NULL, "what was open in the vault could not be committed: %s", strerrordesc_np(-r));
    log_info(NULL, "stopped");
    (void)sd_event_exit(a->event, EXIT_SUCCESS);
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    struct agent *a = userdata;
    int r = fleet_stop(a->fleet, on_stopped, a);

    if (r == -EALREADY)
        return 0;
    sd_notify(0, "STOPPING=1");
    if (r < 0)
        on_stopped(vault_flush(a->vault), a);
    return 0;
}

static int add_signals(struct agent *a)
{
    sigset_t set;
    int r;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    r = sd_event_add_signal(a->event, NULL, SIGTERM, on_stop, a);
    if (r >= 0)
        r = sd_event_add_signal(a->event, NULL, SIGINT, on_stop, a);
    if (r >= 0)
        r = sd_event_add_signal(a->event, NULL, SIGHUP, on_reload, a);
    if (r >= 0)
        r = sd_event_set_watchdog(a->event, true);
    return r;
}

static int start(struct agent *a)
{
    const struct fleet_options options = {
        .event = a->event,
        .arena = a->arena,
        .vault = a->vault,
        .config = a->config,
        .link = {.runtime_dir = a->options.runtime_dir, .self_naming = a->options.by_hand},
        .paths = {.config_dir = a->options.config_dir, .state_dir = a->options.state_dir},
        .mistakes = &a->mistakes,
        .plugin_dir = a->options.plugin_dir,
        .registrar_dir = a->options.registrar_dir,
    };
    const struct bus_ops ops = {.ready = on_ready, .name_lost = on_name_lost, .changed = on_changed, .userdata = a};
    struct error e = {0};
    int r = fleet_new(&options, &a->fleet, &e);

    if (r == -EBADMSG) {
        log_error(NULL, "%s", e.text);
        return EXIT_CONFIG;
    }
    if (r >= 0)
        r = bus_new(a->event, a->fleet, &ops, &a->bus);
    if (r < 0) {
        log_error(NULL, "cannot start: %s", e.text[0] ? e.text : strerrordesc_np(-r));
        return EXIT_FAILURE;
    }
    return 0;
}

int main(int argc, char **argv)
{
    _cleanup_(agent_done) struct agent a = {0};
    struct error e = {0};
    int r = startup_clean(argv, &e), status;

    if (r < 0) {
        fprintf(stderr, "gatehoused: %s\n", e.text);
        return EXIT_FAILURE;
    }
    if (options_parse(argc, argv, &a.options, &status) != 0)
        return status;
    log_init("gatehoused", a.options.debug ? LOG_DEBUG : LOG_INFO);
    umask(0077);
    dumps_forbid();
    status = load_config(&a);
    if (status != 0 || a.options.check_config)
        return status;
    signal(SIGPIPE, SIG_IGN);
    r = sd_event_default(&a.event);
    /* These only look, and end by a signal as any program: what handles signals wants a fleet. */
    if (r >= 0 && a.options.can_open)
        return can_open(a.event, &a.options, a.config);
    if (r >= 0 && a.options.check_handshakes)
        return check_handshakes(a.event, &a.options, a.config);
    if (r >= 0)
        r = add_signals(&a);
    if (r < 0) {
        log_error(NULL, "cannot begin: %s", strerrordesc_np(-r));
        return EXIT_FAILURE;
    }
    if (a.options.restore)
        return care_restore(&a.options, a.config);
    if (a.options.recover)
        return care_recover(&a.options, a.config);
    status = open_vault(&a);
    if (status == 0 && a.options.verify_vault)
        return verify_vault(&a);
    if (status == 0 && a.options.backup)
        return care_backup(a.vault, &a.options);
    if (status == 0)
        status = start(&a);
    if (status != 0)
        return status;
    r = loop_run(a.event);
    if (r < 0)
        log_error(NULL, "the loop failed: %s", strerrordesc_np(-r));
    return r < 0 ? EXIT_FAILURE : r;
}
