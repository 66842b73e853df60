/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gatehouse-driver NAME: hosts one plugin and speaks the driver protocol for it. */
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/names.h"
#include "base/options.h"
#include "check.h"
#include "driver.h"
#include "host-api.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#define CHECK_INTERVAL USEC_PER_SEC
#define STOP_TIMEOUT (8 * USEC_PER_SEC) /* the unit allows 10 */

struct options {
    const char *name, *runtime_dir, *plugin_dir;
    int level;
    bool check;
};

struct program {
    struct driver driver;
    uint64_t check_interval;
    sd_event_source *stop_timer;
};

static void usage(FILE *to)
{
    fprintf(to,
            "gatehouse-driver NAME [OPTION...]\n"
            "\n"
            "Hosts the plugin NAME and sends its samples to gatehoused.\n"
            "\n"
            "  --runtime-dir DIR  where the agent listens (default %s)\n"
            "  --plugin-dir DIR   where NAME.so is (default %s)\n"
            "  --check-config     read devices from standard input, say what the plugin thinks of them, and end\n"
            "  --debug            say more\n"
            "  --help, --version\n",
            RUNTIME_DIR, GATEHOUSE_PLUGIN_DIR);
}

/* -1: go on; otherwise the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {
        {"runtime-dir", required_argument, NULL, 'r'},
        {"plugin-dir", required_argument, NULL, 'p'},
        {"check-config", no_argument, NULL, 'c'},
        {"debug", no_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = options_next(argc, argv, "", known)) >= 0)
        switch (c) {
        case 'r':
            o->runtime_dir = optarg;
            break;
        case 'p':
            o->plugin_dir = optarg;
            break;
        case 'c':
            o->check = true;
            break;
        case 'd':
            o->level = LOG_DEBUG;
            break;
        case 'h':
            usage(stdout);
            return EXIT_SUCCESS;
        case 'v':
            puts("gatehouse-driver " GATEHOUSE_VERSION);
            return EXIT_SUCCESS;
        default:
            return EXIT_USAGE;
        }
    if (optind != argc - 1) {
        fputs("gatehouse-driver: expected the name of one plugin; see --help\n", stderr);
        return EXIT_USAGE;
    }
    o->name = argv[optind];
    if (!id_valid(o->name)) {
        fprintf(stderr, "gatehouse-driver: a plugin's name is " ID_RULE ", not \"%s\"\n", o->name);
        return EXIT_USAGE;
    }
    return -1;
}

/* The watchdog is petted only while every callback keeps its deadline. */
static int on_check(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct program *p = userdata;
    int r;

    if (driver_healthy(&p->driver))
        sd_notify(0, "WATCHDOG=1");
    driver_tell_losses(&p->driver);
    r = sd_event_source_set_time(source, clock_monotonic() + p->check_interval);
    return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_stop_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct program *p = userdata;

    if (driver_closed(&p->driver)) {
        log_warning(NULL, "the agent has not answered for %zu samples within %u s; leaving all the same",
                    link_client_pending(p->driver.client), (unsigned)(STOP_TIMEOUT / USEC_PER_SEC));
        return sd_event_exit(p->driver.event, 0);
    }
    (void)driver_healthy(&p->driver);
    log_error(NULL, "the plugin has not closed its devices within %u s; leaving all the same",
              (unsigned)(STOP_TIMEOUT / USEC_PER_SEC));
    /* A thread is still inside the plugin, so nothing may be torn down around it. */
    _exit(EXIT_FAILURE);
}

static int begin_stop(struct program *p)
{
    if (p->driver.stopping)
        return 0;
    sd_notify(0, "STOPPING=1");
    driver_stop(&p->driver);
    return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
    return begin_stop(userdata);
}

/* Watches over a stop, whoever asked for it: at its end everything is closed, and the agent has what was read. */
static int on_post(sd_event_source *source, void *userdata)
{
    struct program *p = userdata;

    if (driver_ended(&p->driver))
        return sd_event_exit(p->driver.event, 0);
    if (!p->driver.stopping || p->stop_timer)
        return 0;
    return sd_event_add_time_relative(p->driver.event, &p->stop_timer, CLOCK_MONOTONIC, STOP_TIMEOUT, 0,
                                      on_stop_timeout, p);
}

static int add_sources(struct program *p)
{
    sd_event *event = p->driver.event;
    uint64_t watchdog = 0;
    sigset_t mask;
    int r;

    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    p->check_interval = CHECK_INTERVAL;
    if (sd_watchdog_enabled(0, &watchdog) > 0)
        p->check_interval = MIN_OF(watchdog / 2, CHECK_INTERVAL);
    r = sd_event_add_signal(event, NULL, SIGTERM, on_signal, p);
    if (r >= 0)
        r = sd_event_add_signal(event, NULL, SIGINT, on_signal, p);
    if (r >= 0)
        r = sd_event_add_time(event, NULL, CLOCK_MONOTONIC, 0, 0, on_check, p);
    return r < 0 ? r : sd_event_add_post(event, NULL, on_post, p);
}

/* Root, who checks a configuration by hand, has the plugin run as it will run. */
static int become_user(const char *name)
{
    char user[sizeof("gatehouse-") + DEVICE_ID_MAX];
    const struct passwd *found;

    snprintf(user, sizeof(user), "gatehouse-%s", name);
    found = geteuid() == 0 ? getpwnam(user) : NULL;
    if (!found)
        return 0;
    return initgroups(user, found->pw_gid) < 0 || setgid(found->pw_gid) < 0 || setuid(found->pw_uid) < 0 ? -errno : 0;
}

static int check(struct program *p, const struct options *o)
{
    struct driver *d = &p->driver;
    struct error e = {""};
    int r = become_user(o->name);

    if (r >= 0)
        r = plugin_open(o->plugin_dir, o->name, &d->plugin, &e);
    if (r >= 0)
        r = inbox_init(&d->inbox, d->event, driver_on_sample, driver_on_note, d);
    if (r >= 0 && d->plugin.p.load)
        r = d->plugin.p.load(host_api(&d->inbox));
    if (r >= 0) {
        r = check_lines(d, stdin, stdout, &e);
        if (d->plugin.p.unload)
            d->plugin.p.unload();
    }
    if (r < 0)
        log_error(NULL, "cannot check: %s", e.text[0] ? e.text : strerrordesc_np(-r));
    return r;
}

static int serve(struct program *p, const struct options *o)
{
    struct driver *d = &p->driver;
    struct error e = {""};
    int r = plugin_open(o->plugin_dir, o->name, &d->plugin, &e);

    if (r < 0) {
        log_error(NULL, "%s", e.text);
        return r == -ENOENT ? -ELIBACC : r;
    }
    r = add_sources(p);
    if (r >= 0)
        r = inbox_init(&d->inbox, d->event, driver_on_sample, driver_on_note, d);
    if (r < 0) {
        log_error(NULL, "cannot set up the loop: %s", strerror(-r));
        return r;
    }
    if (d->plugin.p.load)
        r = d->plugin.p.load(host_api(&d->inbox));
    if (r < 0) {
        log_error(NULL, "the plugin %s does not load: %s", o->name, strerror(-r));
        return r;
    }
    r = driver_start(d, o->runtime_dir, &e);
    if (r < 0) {
        log_error(NULL, "%s", e.text[0] ? e.text : strerror(-r));
        return r;
    }
    sd_notifyf(0, "READY=1\nSTATUS=Plugin %s %s", o->name, d->plugin.p.version ?: "");
    r = sd_event_loop(d->event);
    if (r < 0) {
        log_error(NULL, "the loop failed: %s", strerror(-r));
        _exit(EXIT_FAILURE); /* the plugin's threads still run */
    }
    if (d->plugin.p.unload)
        d->plugin.p.unload();
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = {.runtime_dir = RUNTIME_DIR, .plugin_dir = GATEHOUSE_PLUGIN_DIR, .level = LOG_INFO};
    struct program p = {.driver.inbox = {.sample_fd = -EBADF, .note_fd = -EBADF}};
    char program_name[sizeof("gatehouse-driver ") + DEVICE_ID_MAX];
    int r = parse_options(argc, argv, &o);

    if (r >= 0)
        return r;
    snprintf(program_name, sizeof(program_name), "gatehouse-driver %s", o.name);
    log_init(program_name, o.level);
    p.driver.name = o.name;
    r = sd_event_new(&p.driver.event);
    if (r >= 0)
        r = o.check ? check(&p, &o) : serve(&p, &o);
    driver_done(&p.driver);
    if (p.driver.inbox.sample_source)
        inbox_done(&p.driver.inbox);
    sd_event_source_disable_unref(p.stop_timer);
    sd_event_unref(p.driver.event);
    plugin_close(&p.driver.plugin);
    /* A plugin that is not installed does not come by starting again. */
    return r == -ELIBACC ? EXIT_CONFIG : r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
