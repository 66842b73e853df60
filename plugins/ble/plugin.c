/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <syslog.h>

static struct hub hub;

/* ── What an older host lacks ── */

static int no_count(struct gatehouse_device *device, const char *name, uint64_t value)
{
    (void)device;
    (void)name;
    (void)value;
    return 0;
}

static int no_keep(struct gatehouse_device *device, const char *text)
{
    (void)device;
    (void)text;
    return 0;
}

static struct gatehouse_host host_of(const struct gatehouse_host *host)
{
    struct gatehouse_host own = {.size = sizeof own};

    memcpy(&own, host, host->size < sizeof own ? host->size : sizeof own);
    own.count = own.count ?: no_count;
    own.keep = own.keep ?: no_keep;
    return own;
}

static void on_complaint(void *context, const char *path, const char *place, const char *message)
{
    char text[1024];

    (void)context;
    (void)snprintf(text, sizeof text, "%s: %s: %s: the file is not used", path, place, message);
    hub.host->log(NULL, LOG_WARNING, text);
}

/* GATEHOUSE_BLE_KERNEL in the environment: "RELEASE VERSION" of another, for tests. */
static void know_kernel(void)
{
    const char *told = secure_getenv("GATEHOUSE_BLE_KERNEL");
    struct utsname u;

    if (told)
        hub.repeats = kernel_repeats(told, told, hub.kernel);
    else if (uname(&u) == 0)
        hub.repeats = kernel_repeats(u.release, u.version, hub.kernel);
}

static int load(const struct gatehouse_host *host)
{
    static struct gatehouse_host own;
    int r;

    if (host->abi < GATEHOUSE_PLUGIN_ABI || host->size < offsetof(struct gatehouse_host, wake) + sizeof host->wake)
        return -EPROTONOSUPPORT;
    own = host_of(host);
    hub.host = &own;
    know_kernel();
    r = decoder_set_load_installed(on_complaint, NULL, &hub.set);
    return r < 0 ? r : hub_start(&hub);
}

static void unload(void)
{
    hub_stop(&hub);
    hub.set = decoder_set_free(hub.set);
}

static int config_check(const char *section, const struct gatehouse_point *points, size_t n_points,
                        gatehouse_complain complain, void *context)
{
    int r = ble_config_read(hub.set, section, points, n_points, complain, context, NULL);

    return r == -EINVAL ? 0 : r;
}

/* ── Devices ── */

struct first_complaint {
    char *text;
    size_t size;
    bool any;
};

static void keep_first(void *context, const char *pointer, const char *message)
{
    struct first_complaint *c = context;

    if (!c->any)
        (void)snprintf(c->text, c->size, "%s: %s", pointer, message);
    c->any = true;
}

static struct sensor *sensor_free(struct sensor *s)
{
    ble_config_free(s->config);
    free(s->next_read);
    explicit_bzero(&s->key, sizeof s->key);
    free(s);
    return NULL;
}

static int device_open(struct gatehouse_device *device, const char *id, const char *section,
                       const struct gatehouse_point *points, size_t n_points, void **ret_data, char *error,
                       size_t error_size)
{
    struct first_complaint complaint = {.text = error, .size = error_size};
    struct sensor *s = calloc(1, sizeof *s);
    int r;

    if (!s)
        return -ENOMEM;
    r = ble_config_read(hub.set, section, points, n_points, keep_first, &complaint, &s->config);
    if (r >= 0) {
        s->next_read = calloc(s->config->n_points + 1, sizeof *s->next_read);
        r = s->next_read ? 0 : -ENOMEM;
    }
    if (r < 0) {
        sensor_free(s);
        return r;
    }
    s->handle = device;
    s->hub = &hub;
    (void)snprintf(s->id, sizeof s->id, "%s", id);
    s->opened = s->idle_since = hub_now();
    pthread_mutex_lock(&hub.mutex);
    s->next = hub.sensors;
    hub.sensors = s;
    hub.objects_due = hub.bluez; /* BlueZ may know it already */
    hub_wake(&hub);
    pthread_mutex_unlock(&hub.mutex);
    *ret_data = s;
    return 0;
}

static void device_close(void *device_data)
{
    struct sensor *s = device_data, **at = &hub.sensors;

    pthread_mutex_lock(&hub.mutex);
    s->closing = true;
    hub_wake(&hub);
    while (!s->closed)
        pthread_cond_wait(&hub.cond, &hub.mutex);
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    pthread_mutex_unlock(&hub.mutex);
    sensor_free(s);
}

static int secret(void *device_data, const void *key, size_t size, const char *kept)
{
    if (size > 0 && size != BIND_KEY_MAX)
        return -EINVAL;
    pthread_mutex_lock(&hub.mutex);
    sensor_set_key(device_data, key, size, kept);
    pthread_mutex_unlock(&hub.mutex);
    return 0;
}

static const struct ble_point *point_of(const struct sensor *s, const char *name)
{
    for (size_t i = 0; i < s->config->n_points; i++)
        if (strcmp(s->config->points[i].name, name) == 0)
            return &s->config->points[i];
    return NULL;
}

/* Waits for the thread, or for the sensor behind it. One at a time: this is the only thread that asks. */
static int ask(struct sensor *s, struct ask *ask, char *error, size_t error_size)
{
    int r;

    s->ask = ask;
    s->retry_at = 0;
    hub_wake(&hub);
    r = hub_wait(&hub, &ask->done, ASK_TIMEOUT);
    s->ask = NULL;
    if (r < 0)
        (void)snprintf(error, error_size, "%s",
                       s->link_problem[0] ? s->link_problem
                       : s->present       ? "the sensor does not answer"
                                          : "the sensor is not there");
    else if (ask->r < 0)
        (void)snprintf(error, error_size, "%s", ask->error);
    return r < 0 ? r : ask->r;
}

static int write_point(void *device_data, const char *point, const struct gatehouse_value *value,
                       struct gatehouse_value *ret_value, char *error, size_t error_size)
{
    struct sensor *s = device_data;
    struct ask a = {.point = point_of(s, point), .write = true};
    int r;

    (void)ret_value;
    if (!a.point)
        return -ENOENT;
    r = a.point->gatt ? gatt_encode(a.point, value, a.bytes, &a.n) : -EOPNOTSUPP;
    if (r < 0) {
        (void)snprintf(error, error_size, "this value cannot be written as the point's type");
        return r;
    }
    pthread_mutex_lock(&hub.mutex);
    r = ask(s, &a, error, error_size);
    pthread_mutex_unlock(&hub.mutex);
    return r;
}

static int read_point(void *device_data, const char *point, struct gatehouse_value *ret_value, char *error,
                      size_t error_size)
{
    struct sensor *s = device_data;
    struct ask a = {.point = point_of(s, point)};
    int r;

    pthread_mutex_lock(&hub.mutex);
    if (!a.point || !a.point->gatt) {
        r = sensor_latest(s, point, ret_value) < 0 ? -ENODATA : 0;
        if (r < 0)
            (void)snprintf(error, error_size, "nothing was heard of it yet");
    } else {
        r = ask(s, &a, error, error_size);
        if (r >= 0)
            *ret_value = a.value;
    }
    pthread_mutex_unlock(&hub.mutex);
    return r;
}

static int scan(const char *options, void (*found)(void *context, const char *object), void *context, char *error,
                size_t error_size)
{
    return scan_run(&hub, options, found, context, error, error_size);
}

__attribute__((visibility("default"))) const struct gatehouse_plugin *gatehouse_plugin_entry(void);

const struct gatehouse_plugin *gatehouse_plugin_entry(void)
{
    static const struct gatehouse_plugin plugin = {
        .size = sizeof plugin,
        .abi = GATEHOUSE_PLUGIN_ABI,
        .name = "ble",
        .version = GATEHOUSE_VERSION,
        .description = "Bluetooth Low Energy sensors, through BlueZ",
        .thread_model = GATEHOUSE_THREADS_SERIAL,
        .load = load,
        .unload = unload,
        .config_check = config_check,
        .device_open = device_open,
        .device_close = device_close,
        .write = write_point,
        .read = read_point,
        .scan = scan,
        .secret = secret,
    };

    return &plugin;
}
