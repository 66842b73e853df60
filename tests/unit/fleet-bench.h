/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A gateway in the process of the test: its files in a scratch directory, its devices as the fleet runs them, and the
 * cloud of coap-peer.h. Included after vault-scratch.h and coap-peer.h. */

#include "device/fleet.h"

#include <sys/mman.h>

#define BENCH_SIM "\"driver\":\"sim\",\"sim\":{\"interval\":\"1s\"},"

struct fleet_bench {
    struct scratch *s;
    struct coap_peer peer;
    struct config *config;
    struct mistakes mistakes;
    struct fleet *fleet;
    char plugin_dir[96], registrar_dir[96];
    bool stopped;
    uint16_t broker; /* the cloud is one at this port; 0: it is `peer` */
};

static inline const char *bench_path(const struct fleet_bench *f, const char *name)
{
    static char path[160];

    snprintf(path, sizeof(path), "%s/%s", f->s->directory, name);
    return path;
}

static inline void bench_file(const struct fleet_bench *f, const char *name, const char *text)
{
    scratch_write(bench_path(f, name), text, strlen(text), 0644);
}

/* Directories, and a cloud that knows key 1; no files yet. */
static inline void bench_prepare(struct fleet_bench *f, struct scratch *s)
{
    static const char *const directories[] = {"etc", "etc/devices.d", "state",     "state/devices.d",
                                              "run", "plugins",       "registrars"};
    struct secret *key = scratch_key(s, 1, 32);

    *f = (struct fleet_bench){.s = s};
    peer_begin(&f->peer, s->event, key->bytes);
    secret_free(key);
    setenv("GATEHOUSE_PROFILE_DIR", FIXTURES_DIR "/../../etc/profiles", 1);
    for (size_t i = 0; i < ELEMENTSOF(directories); i++)
        assert_int_equal(mkdir(bench_path(f, directories[i]), 0700), 0);
    snprintf(f->plugin_dir, sizeof(f->plugin_dir), "%s/plugins", s->directory);
    snprintf(f->registrar_dir, sizeof(f->registrar_dir), "%s/registrars", s->directory);
}

/* gatehouse.json: `uplink` are more members of the uplink, `more` of the file; both begin with a comma. */
static inline void bench_gateway(const struct fleet_bench *f, const char *profile, const char *uplink, const char *more)
{
    char text[1024];

    snprintf(text, sizeof(text), "{\"uplinks\":{\"cloud\":{\"url\":\"%s://127.0.0.1:%u\",\"profile\":\"%s\"%s}}%s}",
             f->broker ? "mqtts" : "coaps", f->broker ? f->broker : f->peer.port, profile, uplink, more);
    bench_file(f, "etc/gatehouse.json", text);
}

/* A device of the driver `sim`; `points` is the object. */
static inline void bench_device(const struct fleet_bench *f, const char *id, const char *points)
{
    char name[96], text[1024];

    snprintf(name, sizeof(name), "etc/devices.d/%s.json", id);
    snprintf(text, sizeof(text), "{\"device\":\"%s\",\"uplink\":\"cloud\"," BENCH_SIM "\"points\":%s}", id, points);
    bench_file(f, name, text);
}

static inline void bench_fleet(struct fleet_bench *f)
{
    struct fleet_options options = {.event = f->s->event,
                                    .arena = f->s->arena,
                                    .vault = f->s->vault,
                                    .plugin_dir = f->plugin_dir,
                                    .registrar_dir = f->registrar_dir,
                                    .mistakes = &f->mistakes};
    char config_dir[96], state_dir[96], run[96];
    struct error e = {0};

    snprintf(config_dir, sizeof(config_dir), "%s/etc", f->s->directory);
    snprintf(state_dir, sizeof(state_dir), "%s/state", f->s->directory);
    snprintf(run, sizeof(run), "%s/run", f->s->directory);
    options.paths = (struct config_paths){config_dir, state_dir};
    options.link = (struct link_host_options){.runtime_dir = run, .self_naming = true};
    if (config_load(&options.paths, CONFIG_LENIENT, &f->config, &f->mistakes) < 0)
        fail_msg("%s: %s", f->mistakes.list[0].file, f->mistakes.list[0].text);
    options.config = f->config;
    if (fleet_new(&options, &f->fleet, &e) < 0)
        fail_msg("%s", e.text);
    f->config = config_unref(f->config);
}

/* boiler-1 with a key that the cloud knows, pump-2 without, both of a driver that is not there. */
static inline void bench_begin_fleet(struct fleet_bench *f, struct scratch *s)
{
    struct error e = {0};

    bench_prepare(f, s);
    if (scratch_put(s, "boiler-1", VAULT_MAIN, "child-1", 1, &e) < 0)
        fail_msg("%s", e.text);
    bench_gateway(f, "senml", ",\"registrar\":{\"type\":\"coap\"}", "");
    bench_device(f, "boiler-1", "{\"x\":{\"signal\":\"sine\",\"period\":\"10s\"}}");
    bench_device(f, "pump-2", "{\"y\":{\"signal\":\"sine\",\"period\":\"10s\",\"writable\":true}}");
    bench_fleet(f);
}

static inline void bench_stopped(int r, void *userdata)
{
    ((struct fleet_bench *)userdata)->stopped = true;
}

/* Stops as the agent does; what is durable stays. */
static inline void bench_stop_fleet(struct fleet_bench *f)
{
    f->stopped = false;
    assert_true(fleet_stop(f->fleet, bench_stopped, f) >= 0);
    run_until(f->s->event, f->stopped);
}

static inline void bench_end_fleet(struct fleet_bench *f)
{
    f->fleet = fleet_free(f->fleet);
    mistakes_done(&f->mistakes);
    peer_end(&f->peer);
}

static inline struct device *bench_find(struct fleet_bench *f, const char *id)
{
    struct device *d = fleet_find(f->fleet, id);

    assert_non_null(d);
    return d;
}

/* An operation of the fleet that ends later. */
struct bench_done {
    bool called;
    int r;
    char text[512];
};

static inline void bench_done(int r, const struct error *e, void *userdata)
{
    struct bench_done *done = userdata;

    done->called = true;
    done->r = r;
    snprintf(done->text, sizeof(done->text), "%s", r < 0 ? e->text : "");
}

/* Reads the files again; what it came to. */
static inline int bench_reload(struct fleet_bench *f)
{
    struct bench_done done = {0};
    struct error e = {0};
    int r = fleet_reload(f->fleet, bench_done, &done, &e);

    if (r < 0)
        return r;
    run_until(f->s->event, done.called);
    return done.r;
}

/* Stops and starts again as the agent does; what is durable stays. */
static inline void bench_restart(struct fleet_bench *f)
{
    bench_stop_fleet(f);
    f->fleet = fleet_free(f->fleet);
    scratch_reopen(f->s);
    bench_fleet(f);
}

/* A memfd with these bytes, sealed as callers seal theirs. */
static inline int bench_sealed(const void *data, size_t n)
{
    int fd = memfd_create("key", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, n), n);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
    return fd;
}
