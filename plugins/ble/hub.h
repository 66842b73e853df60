/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The common part of the plugin's files. One thread of the plugin's own talks to BlueZ; it and the host's callbacks
 * take turns under one mutex. Only that thread touches the bus and its event loop: a callback that wants something of
 * it says so in the sensor, wakes it, and waits for the condition.
 *
 *   plugin.c   the callbacks          hub.c      the thread, the table of sensors
 *   bluez.c    the bus: objects and their changes, calls     props.c   reading properties
 *   adapter.c  carries adapter-state.h out     link.c    carries link-state.h out
 *   monitor.c  passive scanning
 *   gatt.c     reads, writes, notifications    agent.c   pairing
 *   sensor.c   advertisements become samples, and what the user is told   scan.c   everybody who is heard */

#include "adapter-state.h"
#include "config.h"
#include "decoder.h"
#include "fresh.h"
#include "kernel.h"
#include "link-state.h"
#include "stale.h"

#include <gatehouse/plugin.h>
#include <pthread.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define BLUEZ "org.bluez"
#define BLUEZ_ADAPTER "org.bluez.Adapter1"
#define BLUEZ_MONITORS "org.bluez.AdvertisementMonitorManager1"
#define BLUEZ_DEVICE "org.bluez.Device1"
#define BLUEZ_SERVICE "org.bluez.GattService1"
#define BLUEZ_CHARACTERISTIC "org.bluez.GattCharacteristic1"
#define DBUS_PROPERTIES "org.freedesktop.DBus.Properties"
#define DBUS_OBJECTS "org.freedesktop.DBus.ObjectManager"
#define PATH_LENGTH 160

struct hub;
struct sensor;

struct adapter {
    struct adapter *next;
    struct hub *hub;
    char path[PATH_LENGTH]; /* "/org/bluez/hci0" */
    char address[ADDRESS_TEXT];
    bool present, powered;
    enum adapter_state state;
    uint64_t power_at, scan_at; /* not before */
    uint64_t backoff;
    uint64_t heard;                 /* anything at all */
    bool filtered;                  /* our filter is set */
    bool monitors;                  /* it has those of BlueZ, with patterns */
    bool registered, offered;       /* BlueZ may know our monitor; it was told of it anew */
    bool piles;                     /* BlueZ keeps old data of a sensor beside the new */
    uint64_t passive_at, active_by; /* no monitor before; the monitor is to be active by then */
    char refused[REASON_MAX];       /* why there is none until `passive_at` */
    sd_bus_slot *monitor_root, *monitor;
    char problem[REASON_MAX]; /* why it does not do what it is to */
    sd_bus_slot *call;
    unsigned connections;
};

/* Of a value: when it was reported last, and what it was. */
struct shown {
    char name[FIELD_NAME_MAX + 8];
    uint64_t next;
    struct gatehouse_value value; /* never a text */
    bool has_value;
};

struct characteristic {
    char path[PATH_LENGTH];
    char uuid[37], service[PATH_LENGTH];
    bool notifying;
};

struct service {
    char path[PATH_LENGTH];
    char uuid[37];
};

/* Something that a callback waits for. */
struct ask {
    const struct ble_point *point;
    bool write, done, sent;
    uint8_t bytes[CHARACTERISTIC_BYTES_MAX];
    size_t n;
    int r;
    char error[REASON_MAX];
    struct gatehouse_value value; /* of a read; a text is the sensor's */
};

struct sensor {
    struct sensor *next;
    struct gatehouse_device *handle;
    char id[72];
    struct ble_config *config;
    struct hub *hub;
    bool closing, closed; /* the thread is to let go of it; has */

    /* what is advertised */
    char name[64];
    char uuids[UUIDS_MAX][37];
    size_t n_uuids;
    uint64_t opened, heard, decoded_at;
    struct bind_key key;
    bool has_key;
    struct counter_state counter;
    struct fresh fresh;
    char kept[2 * COUNTER_SAVED_MAX + 1];
    uint64_t kept_at;
    bool keep_due;
    struct shown shown[BLE_NAMES_MAX];
    size_t n_shown;
    enum decoder_result problem; /* of the last that was heard; DECODED: none */
    uint64_t n_heard, n_samples, n_results[DECODER_REPLAY_OR_HELD + 1];

    /* the connection */
    struct adapter *adapter; /* on which it was met last */
    bool present;            /* BlueZ has an object for it there */
    bool connected, resolved, paired;
    enum link_state link;
    uint64_t retry_at, backoff, deadline, idle_since;
    uint64_t crowded_since; /* only other connections of the adapter keep it waiting; 0: they do not */
    unsigned stale;         /* connections in a row without what is wanted */
    bool refreshed;         /* the objects were read once more */
    struct stale odd;
    bool forget; /* BlueZ is to forget its services, once the connection has ended */
    char link_problem[REASON_MAX];
    sd_bus_slot *call, *step;
    struct characteristic *characteristics;
    size_t n_characteristics;
    struct service *services;
    size_t n_services;
    uint64_t *next_read; /* by point */
    size_t turn;         /* the point whose turn it is */
    struct ask *ask;
    char text[FIELD_TEXT_MAX + 1];
};

/* One address heard while somebody scans. */
struct heard {
    char address[ADDRESS_TEXT], adapter[16];
    char name[64];
    int16_t rssi;
    uint64_t at;
    bool random;
    uint16_t company;
    uint8_t manufacturer[64];
    size_t n_manufacturer;
    char uuid[37];
    uint8_t service[64];
    size_t n_service;
};

struct hub {
    const struct gatehouse_host *host;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    pthread_t thread;
    bool running, stopping;
    int wake_fd;
    struct decoder_set *set;
    struct decoded decoded; /* scratch */
    struct sensor *sensors;
    struct adapter *adapters;

    /* the thread's alone */
    sd_event *event;
    sd_bus *bus;
    bool bluez;               /* it is there, and its objects were read */
    char problem[REASON_MAX]; /* why there is no BlueZ */
    uint64_t bus_at;          /* next try */
    sd_bus_slot *objects_call;
    const char *agent_capability; /* as which it is registered; NULL: it is not */
    sd_bus_slot *agent_slot, *agent_call;
    bool objects_due;
    bool repeats;             /* the kernel lets repeated advertisements through to a monitor */
    char kernel[KERNEL_TEXT]; /* its version */

    unsigned scans;      /* under way */
    struct heard *heard; /* HEARD_MAX, while somebody scans */
    size_t n_heard;
};

uint64_t hub_now(void); /* CLOCK_BOOTTIME */

/* hub.c; with the mutex held, except start and stop */
int hub_start(struct hub *h);
void hub_stop(struct hub *h);
void hub_wake(struct hub *h);
struct sensor *hub_sensor_of(struct hub *h, const char *path);
struct sensor *hub_sensor(struct hub *h, const char *address);
/* Waits until *flag; -ETIMEDOUT. */
int hub_wait(struct hub *h, const bool *flag, uint64_t usec);

/* props.c: what a message says of a device or adapter, as far as it concerns us. Pointers are the message's. */
struct properties {
    struct advert advert;
    struct advert_manufacturer manufacturer[ELEMENTS_MAX];
    struct advert_service service[ELEMENTS_MAX];
    const char *uuids[UUIDS_MAX];
    bool has_uuids, has_data; /* data: manufacturer or service */
    const char *address, *uuid, *service_path, *address_type, *power_state;
    int connected, resolved, paired, powered, discovering; /* -1: not said */
    bool has_monitor_types, or_patterns;                   /* of an adapter's monitors */
    const uint8_t *value;
    size_t n_value;
};
/* The next a{sv} of the message. */
int properties_read(sd_bus_message *m, struct properties *ret);
/* The address of a device's path, or below one; false for others. `ret_adapter`: the length of the adapter's path. */
bool path_address(const char *path, char ret[ADDRESS_TEXT], size_t *ret_adapter);

/* bluez.c */
void bluez_tick(struct hub *h, uint64_t now);
void bluez_close(struct hub *h);
/* An asynchronous call with CALL_TIMEOUT; `slot` may be that of one before, which is dropped. */
int bluez_call(struct hub *h, sd_bus_slot **slot, const char *path, const char *interface, const char *method,
               uint64_t timeout, sd_bus_message_handler_t done, void *userdata, const char *types, ...);
/* "org.bluez.Error.InProgress" without what all have; and words. */
const char *bluez_error(sd_bus_message *m, char *text, size_t size);

/* adapter.c */
struct adapter *adapter_get(struct hub *h, const char *path);
void adapter_properties(struct adapter *a, const struct properties *p, bool first);
void adapter_gone(struct adapter *a);
void adapter_tick(struct adapter *a, uint64_t now);
void adapter_event(struct adapter *a, enum adapter_event event);
/* It has monitors that we may use, or no longer. */
void adapter_monitors(struct adapter *a, bool has);
/* BlueZ has begun, or ended, our monitor. */
void adapter_monitor_active(struct adapter *a);
void adapter_monitor_released(struct adapter *a);
/* May this sensor use it? */
bool adapter_serves(const struct adapter *a, const struct sensor *s);
/* Why this sensor cannot be heard at all; NULL: it can. */
const char *adapter_trouble(const struct hub *h, const struct sensor *s);
/* Why this sensor is scanned for actively although its file asks for passively; false: it is not. */
bool adapter_why_active(const struct hub *h, const struct sensor *s, char *text, size_t size);
void adapters_done(struct hub *h);

/* monitor.c: calls into a->call */
int monitor_register(struct adapter *a, sd_bus_message_handler_t done);
int monitor_unregister(struct adapter *a, sd_bus_message_handler_t done);
void monitor_hide(struct adapter *a);

/* link.c */
void link_event(struct sensor *s, enum link_event event);
void link_failed(struct sensor *s, const char *why);
void link_tick(struct sensor *s, uint64_t now);
bool link_wants_connection(const struct sensor *s, uint64_t now);
void link_properties(struct sensor *s, struct adapter *a, const struct properties *p);
void link_gone(struct sensor *s, struct adapter *a);
/* The adapter is free: the next that waits. NULL: nobody. */
struct sensor *link_next_waiting(struct adapter *a, uint64_t now);
void link_done(struct sensor *s);

/* gatt.c */
void gatt_object(struct sensor *s, const char *path, const char *interface, const struct properties *p);
void gatt_object_gone(struct sensor *s, const char *path);
void gatt_begin(struct sensor *s);
void gatt_tick(struct sensor *s, uint64_t now);
void gatt_value(struct sensor *s, const char *path, const uint8_t *bytes, size_t n);
bool gatt_complete(const struct sensor *s, const char **ret_missing);
void gatt_forget(struct sensor *s);
/* Bytes of a value for a point. -EINVAL, -ERANGE. */
int gatt_encode(const struct ble_point *p, const struct gatehouse_value *v, uint8_t *bytes, size_t *ret_n);

/* agent.c */
void agent_register(struct hub *h);

/* sensor.c */
void sensor_heard(struct sensor *s, struct adapter *a, const struct properties *p);
void sensor_values(struct sensor *s, const struct decoded *d, const struct ble_point *only);
void sensor_tick(struct sensor *s, uint64_t now);
void sensor_set_key(struct sensor *s, const void *key, size_t n, const char *kept);
int sensor_latest(struct sensor *s, const char *point, struct gatehouse_value *ret);
void sensor_count(struct sensor *s);

/* scan.c */
void scan_heard(struct hub *h, const char *address, const struct adapter *a, const struct properties *p);
int scan_run(struct hub *h, const char *options, void (*found)(void *context, const char *object), void *context,
             char *error, size_t error_size);
