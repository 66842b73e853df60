/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Gives a device a new key and waits until the cloud has accepted it: gatehouse over D-Bus from C, with what
 * gdbus-codegen makes of the interfaces (org.gatehouse1(5)). Needs libglib2.0-dev.
 *
 *     I=/usr/share/dbus-1/interfaces/org.gatehouse1
 *     gdbus-codegen --generate-c-code gatehouse --c-namespace Gatehouse --c-generate-autocleanup all \
 *         --interface-prefix org.gatehouse1. $I.Manager.xml $I.Device.xml $I.Job.xml
 *     cc -o rotate rotate.c gatehouse.c $(pkg-config --cflags --libs gio-unix-2.0)
 *     ./rotate boiler-1
 */
#include "gatehouse.h"

#include <stdio.h>
#include <string.h>

#define NAME "org.gatehouse1"

struct wait {
    GMainLoop *loop;
    gboolean done;
};

static void on_state(GatehouseJob *job, GParamSpec *property, gpointer userdata)
{
    const char *state = gatehouse_job_get_state(job);
    struct wait *w = userdata;

    if (!state || strcmp(state, "running") == 0)
        return;
    printf("%s\n", state);
    w->done = strcmp(state, "done") == 0;
    g_main_loop_quit(w->loop);
}

static int fail(const char *what, GError *e)
{
    g_dbus_error_strip_remote_error(e);
    fprintf(stderr, "%s: %s\n", what, e->message);
    return 1;
}

static int rotate(const char *id, GError **e)
{
    g_autoptr(GatehouseManager) manager = gatehouse_manager_proxy_new_for_bus_sync(
        G_BUS_TYPE_SYSTEM, G_DBUS_PROXY_FLAGS_NONE, NAME, "/org/gatehouse1", NULL, e);
    g_autoptr(GatehouseDevice) device = NULL;
    g_autoptr(GatehouseJob) job = NULL;
    g_autofree char *path = NULL, *job_path = NULL;
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    struct wait w = {.loop = loop};

    if (!manager || !gatehouse_manager_call_get_device_sync(manager, id, &path, NULL, e))
        return -1;
    device = gatehouse_device_proxy_new_for_bus_sync(G_BUS_TYPE_SYSTEM, G_DBUS_PROXY_FLAGS_NONE, NAME, path, NULL, e);
    if (!device)
        return -1;
    printf("%s: identity %s\n", id, gatehouse_device_get_main_identity(device));
    if (!gatehouse_device_call_rotate_sync(device, g_variant_new("a{sv}", NULL), &job_path, NULL, e))
        return -1;
    /* The proxy reads the properties as it is made, so a job that has ended meanwhile is not waited for. */
    job = gatehouse_job_proxy_new_for_bus_sync(G_BUS_TYPE_SYSTEM, G_DBUS_PROXY_FLAGS_NONE, NAME, job_path, NULL, e);
    if (!job)
        return -1;
    g_signal_connect(job, "notify::state", G_CALLBACK(on_state), &w);
    if (strcmp(gatehouse_job_get_state(job), "running") == 0)
        g_main_loop_run(loop);
    else
        on_state(job, NULL, &w);
    return w.done ? 0 : 1;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) e = NULL;
    int r;

    if (argc != 2) {
        fprintf(stderr, "usage: rotate DEVICE\n");
        return 2;
    }
    r = rotate(argv[1], &e);
    return r < 0 ? fail(argv[1], e) : r;
}
