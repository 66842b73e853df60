/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The doctor: what the agent finds (Check on the bus), and what can be seen of this machine with the caller's rights,
 * in one list. */
#include "ctl.h"
#include "table.h"

#include "base/limits.h"
#include "check/local.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

/* Statuses of its own, as monitoring systems have them. */
#define STATUS_WARNINGS 1
#define STATUS_ERRORS 2

/* ── The agent ── */

static bool is_on_bus(struct ctl *c, const char *name)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    int owned = 0;

    return c->bus &&
           sd_bus_call_method(c->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                              "NameHasOwner", NULL, &reply, "s", name) >= 0 &&
           sd_bus_message_read(reply, "b", &owned) >= 0 && owned;
}

static void not_asked(struct findings *f, const char *words)
{
    finding_mend(f, findings_add(f, FINDING_NOT_LOOKED, "gatehoused", "the agent could not be asked: %s", words),
                 "sudo gatehousectl check");
}

static void ask_agent(struct ctl *c, struct findings *f)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_json_ json_object *properties = NULL;
    json_object *results;
    const char *path;
    int r = sd_bus_call_method(c->bus, BUS_NAME, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Check", &error, &reply,
                               "a{sv}", 0);

    if (r >= 0)
        r = sd_bus_message_read(reply, "o", &path);
    if (r < 0) {
        not_asked(f, error.message ?: strerror(-r));
        return;
    }
    if (job_wait(c, path, &(struct job_watch){.progress = true}, &properties) != 0) {
        not_asked(f, "it stopped meanwhile");
        return;
    }
    results = json_object_object_get(properties, "Results");
    for (size_t i = 0; i < json_object_array_length(results); i++)
        findings_add_json(f, json_object_array_get_idx(results, i));
}

/* Its own finding is no use where others say what keeps it from starting: it comes last, and counts them. */
static void note_stopped(struct findings *f)
{
    static const enum finding_id reasons[] = {FINDING_BAD_SETTING, FINDING_KEYFILE_MISSING, FINDING_KEYFILE_MODE,
                                              FINDING_CONFIG_UNREADABLE};
    size_t n = 0;

    for (size_t i = 0; i < ELEMENTSOF(reasons); i++)
        n += f->count[reasons[i]];
    finding_mend(f,
                 findings_add(f, FINDING_AGENT_STOPPED, "gatehoused", "it is not running%s",
                              n > 0 ? ": see the errors below, each of which may keep it from starting" : ""),
                 "systemctl start gatehouse");
}

/* r: of the connection to the bus. */
static void look_at_agent(struct ctl *c, int r, bool running, struct findings *f)
{
    if (r < 0)
        finding_mend(
            f,
            findings_add(f, FINDING_AGENT_STOPPED, "gatehoused", "the system bus cannot be reached: %s", strerror(-r)),
            "systemctl start dbus");
    else if (running)
        ask_agent(c, f);
    else
        note_stopped(f);
}

/* ── The machine ── */

/* A file that the caller may not read is no mistake of the configuration. */
static bool may_read_config(const struct check_place *p, struct findings *f)
{
    char path[PATH_MAX];
    bool fits = check_path(p, path, sizeof(path), "%s/" CONFIG_FILE, p->config_dir);

    if (fits && access(path, R_OK) < 0 && errno == EACCES) {
        check_not_looked(f, path, -EACCES);
        return false;
    }
    return fits;
}

static void try_handshakes(struct ctl *c, const struct check_place *p, struct findings *f)
{
    struct terminal terminal;

    style_of_terminal(STDERR_FILENO, &terminal);
    terminal.draws = terminal.draws && !c->quiet && p->config && p->config->n_uplinks > 0;
    if (terminal.draws)
        fputs("The agent does not run: trying a handshake with each device's key ...", stderr);
    check_handshakes(p, f);
    if (terminal.draws)
        fputs("\r\033[K", stderr);
}

/* `handshakes`: they are tried, since no agent runs that would. */
static void look_around(struct ctl *c, struct check_place *p, bool handshakes, struct findings *f)
{
    char config_dir[PATH_MAX], state_dir[PATH_MAX];
    const struct config_paths paths = {.config_dir = config_dir, .state_dir = state_dir};
    _cleanup_(config_unrefp) struct config *config = NULL;
    struct mistakes mistakes = {0};

    if (may_read_config(p, f) && check_path(p, config_dir, sizeof(config_dir), "%s", p->config_dir) &&
        check_path(p, state_dir, sizeof(state_dir), "%s", p->state_dir))
        (void)config_load(&paths, CONFIG_LENIENT, &config, &mistakes);
    p->config = config;
    check_keyfile(p, f);
    check_configuration(p, &mistakes, f);
    check_state_dir(p, f);
    check_cards(p, f);
    check_polkit(p, f);
    check_time_zone(p, f);
    check_plugins(p, f);
    check_serial(p, f);
    check_bluetooth(p, c->root || is_on_bus(c, "org.bluez"), f);
    if (handshakes)
        try_handshakes(c, p, f);
    mistakes_done(&mistakes);
    p->config = NULL;
}

static void fill_place(struct ctl *c, struct check_place *p)
{
    bool by_hand = c->config_dir || c->state_dir || c->keyfile;
    const struct passwd *user = by_hand ? getpwuid(geteuid()) : getpwnam(AGENT_USER);

    *p = (struct check_place){
        .root = c->root ?: "",
        .config_dir = c->config_dir ?: CONFIG_DIR,
        .state_dir = c->state_dir ?: STATE_DIR,
        .keyfile = c->keyfile ?: KEYFILE_DIR "/" KEYFILE_CURRENT,
        .plugin_dir = c->plugin_dir ?: GATEHOUSE_PLUGIN_DIR,
        .agent_program = c->agent_program ?: GATEHOUSED,
        .driver_program = c->driver_program ?: GATEHOUSE_DRIVER,
        .user = by_hand && user ? user->pw_name : AGENT_USER,
        .uid = user      ? user->pw_uid
               : by_hand ? geteuid()
                         : (uid_t)-1,
    };
}

/* A mend that checks once more looks at the same places. */
static void mend_places(const struct ctl *c, struct findings *f)
{
    const char *const given[][2] = {{"--host", c->host},
                                    {"--root", c->root},
                                    {"--config-dir", c->config_dir},
                                    {"--state-dir", c->state_dir},
                                    {"--keyfile", c->keyfile},
                                    {"--plugin-dir", c->plugin_dir},
                                    {"--driver-program", c->driver_program},
                                    {"--agent-program", c->agent_program}};
    const char *options[2 * ELEMENTSOF(given)];
    size_t n = 0;

    for (size_t i = 0; i < ELEMENTSOF(given); i++)
        if (given[i][1]) {
            options[n++] = given[i][0];
            options[n++] = given[i][1];
        }
    findings_mend_places(f, options, n);
}

/* ── What is said ── */

static size_t count(const struct findings *f, enum severity severity)
{
    size_t n = 0;

    for (size_t i = 0; i < FINDINGS_N; i++)
        if (finding_kinds[i].severity == severity)
            n += f->count[i];
    return n;
}

static enum style style_of(enum severity severity)
{
    switch (severity) {
    case SEVERITY_NOTE:
        return STYLE_DIM;
    case SEVERITY_WARNING:
        return STYLE_WARN;
    case SEVERITY_ERROR:
        return STYLE_BAD;
    }
    return STYLE_PLAIN;
}

/* The command stays in one line, whatever the width: it is copied. */
static void print_finding(const struct terminal *t, const struct finding *one)
{
    const struct finding_kind *kind = &finding_kinds[one->id];
    enum style style = style_of(kind->severity);

    printf("%s%s%s: %s%s%s\n    ", style_begin(t, style), severity_name(kind->severity), style_end(t, style),
           kind->name, one->subject[0] ? ": " : "", one->subject);
    print_wrapped(t, stdout, 4, one->cause);
    if (one->mend[0])
        printf("    mend: %s\n", one->mend);
}

static void print_findings(struct ctl *c, const struct findings *f)
{
    size_t errors = count(f, SEVERITY_ERROR), warnings = count(f, SEVERITY_WARNING);

    print_pager(c, 3 * f->n + 2);
    for (size_t i = 0; i < f->n; i++)
        print_finding(&c->out, &f->list[i]);
    if (!c->no_legend)
        printf("%s%zu error%s, %zu warning%s.\n", f->n > 0 ? "\n" : "", errors, errors == 1 ? "" : "s", warnings,
               warnings == 1 ? "" : "s");
}

static void add_result(struct ctl *c, const struct findings *f)
{
    json_object *list = json_object_new_array();

    for (size_t i = 0; i < f->n; i++)
        json_object_array_add(list, finding_json(&f->list[i]));
    json_object_object_add(ctl_result(c), "findings", list);
    json_object_object_add(ctl_result(c), "errors", json_object_new_int64((int64_t)count(f, SEVERITY_ERROR)));
    json_object_object_add(ctl_result(c), "warnings", json_object_new_int64((int64_t)count(f, SEVERITY_WARNING)));
    json_object_object_add(ctl_result(c), "notes", json_object_new_int64((int64_t)count(f, SEVERITY_NOTE)));
}

/* The findings that there are, instead of those that are found. */
static int list_kinds(struct ctl *c)
{
    json_object *list = json_object_new_array();

    for (size_t i = 0; i < FINDINGS_N; i++) {
        const struct finding_kind *kind = &finding_kinds[i];
        json_object *o = json_object_new_object();

        json_object_object_add(o, "id", json_object_new_string(kind->name));
        json_object_object_add(o, "severity", json_object_new_string(severity_name(kind->severity)));
        json_object_object_add(o, "meaning", json_object_new_string(kind->meaning));
        json_object_object_add(o, "mend", json_object_new_string(kind->mend ?: ""));
        json_object_array_add(list, o);
        print_say(c, "%-20s %-8s %s", kind->name, severity_name(kind->severity), kind->meaning);
    }
    json_object_object_add(ctl_result(c), "kinds", list);
    return 0;
}

void check_explain(struct ctl *c)
{
    struct findings f = {0};
    struct check_place place;

    /* By hand they may be anywhere. */
    if (c->host || (!c->config_dir && access(CONFIG_DIR, F_OK) < 0))
        return;
    fill_place(c, &place);
    look_around(c, &place, false, &f);
    findings_mend_without_agent(&f);
    mend_places(c, &f);
    findings_close(&f);
    for (size_t i = 0; i < f.n && f.list[i].id < FINDING_CLOCK_WRONG; i++)
        print_error("%s: %s: %s; mend: %s", finding_kinds[f.list[i].id].name, f.list[i].subject, f.list[i].cause,
                    f.list[i].mend);
    findings_done(&f);
}

int verb_check(struct ctl *c, int argc, char **argv)
{
    struct findings f = {0};
    struct check_place place;
    bool running;
    int r = 0, worst;

    if (c->list)
        return list_kinds(c);
    fill_place(c, &place);
    if (c->host)
        r = ctl_connect(c);
    if (r != 0)
        return r;
    if (!c->root && !c->bus)
        r = sd_bus_open_system(&c->bus);
    running = is_on_bus(c, BUS_NAME);
    if (!c->host)
        look_around(c, &place, !running && !c->root, &f);
    if (!c->root)
        look_at_agent(c, r, running, &f);
    if (!running && !c->host && !c->root)
        findings_mend_without_agent(&f);
    mend_places(c, &f);
    findings_close(&f);
    worst = findings_worst(&f);
    add_result(c, &f);
    if (print_text_wanted(c))
        print_findings(c, &f);
    findings_done(&f);
    return worst == SEVERITY_ERROR ? STATUS_ERRORS : worst == SEVERITY_WARNING ? STATUS_WARNINGS : 0;
}
