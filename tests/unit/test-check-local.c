/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each case that a collector looks for is planted below a root of its own, and must be found there and nowhere else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "check/local.h"

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch-dir.h"

static char root[256];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static void make_parents(const char *path)
{
    char parent[PATH_MAX];

    snprintf(parent, sizeof(parent), "%s", path);
    for (char *at = parent + strlen(root) + 1; (at = strchr(at, '/')); at++) {
        *at = 0;
        mkdir(parent, 0755);
        *at = '/';
    }
}

/* A file of the planted system; its full path is good until the next one. */
static const char *plant(const char *path, const char *text, mode_t mode)
{
    static char full[PATH_MAX];
    int fd;

    snprintf(full, sizeof(full), "%s%s", root, path);
    make_parents(full);
    fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    assert_int_equal(chmod(full, mode), 0);
    return full;
}

static int begin(void **state)
{
    scratch_directory(root, sizeof(root), "check");
    return 0;
}

static int end(void **state)
{
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ── A configuration with one device ── */

static char section[256];
static struct config_device device = {.id = (char *)"meter-1", .driver = (char *)"modbus", .section = section};
static struct config_device *devices[] = {&device};
static struct config config = {.devices = devices, .n_devices = 1};

static struct check_place place(void)
{
    config.rotation.window = (struct window){0};
    device.driver = (char *)"modbus";
    snprintf(section, sizeof(section), "{\"url\":\"rtu:/dev/ttyUSB0?baud=9600\"}");
    return (struct check_place){.root = root,
                                .config_dir = "/etc/gatehouse",
                                .state_dir = "/var/lib/gatehouse",
                                .keyfile = "/etc/gatehouse/keys/current",
                                .plugin_dir = "/usr/lib/plugins",
                                .config = &config,
                                .user = "gatehouse",
                                .uid = geteuid()};
}

typedef void collector(const struct check_place *p, struct findings *f);

/* The one finding of a collector, whose mend has these words; id FINDINGS_N: none. */
static void expect(const struct check_place *p, collector *collect, enum finding_id id, const char *mend)
{
    struct findings f = {0};

    collect(p, &f);
    if (id == FINDINGS_N) {
        if (f.n > 0)
            fail_msg("%s: %s: %s", finding_kinds[f.list[0].id].name, f.list[0].subject, f.list[0].cause);
    } else {
        assert_int_equal(f.n, 1);
        assert_string_equal(finding_kinds[f.list[0].id].name, finding_kinds[id].name);
        const char *wanted = mend ?: "", *has = f.list[0].mend ?: "";

        if (!strstr(has, wanted))
            fail_msg("%s is not in: %s", wanted, has);
    }
    findings_done(&f);
}

/* ── Files ── */

static void test_keyfile(void **state)
{
    struct check_place p = place();
    const char *path;

    expect(&p, check_keyfile, FINDING_KEYFILE_MISSING, "vault init --keyfile");
    plant("/var/lib/gatehouse/vault.db", "x", 0600);
    expect(&p, check_keyfile, FINDING_KEYFILE_MISSING, "install -m 0400 COPY");
    path = plant("/etc/gatehouse/keys/current", "01234567890123456789012345678901", 0400);
    expect(&p, check_keyfile, FINDINGS_N, NULL);
    chmod(path, 0440);
    expect(&p, check_keyfile, FINDING_KEYFILE_MODE, "chmod 0400");
    chmod(path, 0404);
    expect(&p, check_keyfile, FINDING_KEYFILE_MODE, "chmod 0400");
    plant("/etc/gatehouse/keys/current", "short", 0400);
    expect(&p, check_keyfile, FINDING_KEYFILE_MODE, "install -m 0400");
    plant("/etc/gatehouse/keys/current", "what systemd-creds made of it, longer than a key", 0400);
    expect(&p, check_keyfile, FINDING_KEYFILE_MODE, "install -m 0400");
    plant("/etc/systemd/system/gatehouse.service.d/encrypted-keyfile.conf", "[Service]\n", 0644);
    expect(&p, check_keyfile, FINDINGS_N, NULL);
    plant("/etc/gatehouse/keys/current", "01234567890123456789012345678901", 0400);
    expect(&p, check_keyfile, FINDING_KEYFILE_MODE, "install -m 0400");
    unlink(plant("/etc/systemd/system/gatehouse.service.d/encrypted-keyfile.conf", "", 0644));
    plant("/etc/gatehouse/keys/current", "01234567890123456789012345678901", 0400);
    path = plant("/my keys/current", "01234567890123456789012345678901", 0404);
    p.keyfile = "/my keys/current";
    expect(&p, check_keyfile, FINDING_KEYFILE_MODE, "chmod 0400 '/");
    plant("/my keys/current", "short", 0400);
    expect(&p, check_keyfile, FINDING_KEYFILE_MODE, "my keys/current'");
    p.keyfile = "/etc/gatehouse/keys/current";
    p.uid = geteuid() + 1;
    if (geteuid() != 0)
        expect(&p, check_keyfile, FINDING_KEYFILE_MODE, "chown root:root");
}

static const struct mistakes no_mistakes;

static void configuration(const struct check_place *p, struct findings *f)
{
    check_configuration(p, &no_mistakes, f);
}

static void test_configuration(void **state)
{
    struct check_place p = place();
    const char *path;

    plant("/etc/gatehouse/gatehouse.json", "{}", 0644);
    plant("/etc/gatehouse/profiles/own.json", "{}", 0644);
    plant("/etc/gatehouse/devices.d/.hidden.json", "{}", 0666);
    plant("/etc/gatehouse/devices.d/a.json.bak", "{}", 0666);
    path = plant("/etc/gatehouse/devices.d/a.json", "{}", 0644);
    expect(&p, configuration, FINDINGS_N, NULL);
    chmod(path, 0666);
    expect(&p, configuration, FINDING_CONFIG_WRITABLE, "chmod go-w");
    chmod(path, 0600);
    expect(&p, configuration, FINDINGS_N, NULL); /* its own */
    p.uid = geteuid() + 1;                       /* another's: shut out */
    if (geteuid() == 0)
        expect(&p, configuration, FINDING_CONFIG_UNREADABLE, "chmod 0644");
}

static void test_mistakes_are_findings(void **state)
{
    struct check_place p = place();
    struct mistakes mistakes = {0};
    struct findings f = {0};

    mistakes_add(&mistakes, "/etc/gatehouse/gatehouse.json", 3, 7, NULL, "unknown key \"colour\"");
    check_configuration(&p, &mistakes, &f);
    assert_int_equal(f.list[0].id, FINDING_BAD_SETTING);
    assert_string_equal(f.list[0].subject, "/etc/gatehouse/gatehouse.json:3:7");
    assert_string_equal(f.list[0].cause, "unknown key \"colour\"");
    assert_non_null(strstr(f.list[0].mend, "sudoedit /etc/gatehouse/gatehouse.json"));
    mistakes_done(&mistakes);
    findings_done(&f);
    /* The agent's user names files of its own. */
    mistakes_add(&mistakes, "/var/lib/gatehouse/devices.d/x;reboot;.json", 1, 1, NULL, "unknown key");
    check_configuration(&p, &mistakes, &f);
    assert_int_equal(f.list[0].id, FINDING_BAD_SETTING);
    assert_string_equal(f.list[0].mend, "");
    mistakes_done(&mistakes);
    findings_done(&f);
}

/* ── The state directory and its disk ── */

/* The scratch directory may itself be in memory: only what concerns the directory's own is looked at. */
static void state_of(const struct check_place *p, struct findings *f)
{
    struct findings all = {0};

    check_state_dir(p, &all);
    for (size_t i = 0; i < all.n; i++)
        if (all.list[i].id == FINDING_STATE_OWNER)
            finding_mend(f, findings_add(f, all.list[i].id, all.list[i].subject, "%s", all.list[i].cause), "%s",
                         all.list[i].mend);
    findings_done(&all);
}

static void test_state(void **state)
{
    struct check_place p = place();
    char path[PATH_MAX];

    expect(&p, state_of, FINDING_STATE_OWNER, "install -d -m 0700 -o gatehouse");
    plant("/var/lib/gatehouse/vault.db", "x", 0600);
    expect(&p, state_of, FINDINGS_N, NULL);
    snprintf(path, sizeof(path), "%s/var/lib/gatehouse", root);
    chmod(path, 0777);
    expect(&p, state_of, FINDING_STATE_OWNER, "chmod 0700");
    chmod(path, 0700);
    p.uid = geteuid() + 1;
    expect(&p, state_of, FINDING_STATE_OWNER, "chown -R gatehouse:gatehouse");
}

static void test_room(void **state)
{
    const uint64_t much = UINT64_C(1) << 40;
    char text[256];

    assert_false(check_room(&(struct check_room){much, 10, true, false}, text, sizeof(text)));
    assert_false(check_room(&(struct check_room){much, 0, false, false}, text, sizeof(text))); /* btrfs counts none */
    assert_true(check_room(&(struct check_room){4096, 10, true, false}, text, sizeof(text)));
    assert_non_null(strstr(text, "4 KiB"));
    assert_true(check_room(&(struct check_room){much, 0, true, false}, text, sizeof(text)));
    assert_true(check_room(&(struct check_room){much, 10, true, true}, text, sizeof(text)));
    assert_non_null(strstr(text, "read-only"));
}

static void test_cards(void **state)
{
    struct check_place p = place();

    expect(&p, check_cards, FINDINGS_N, NULL);
    plant("/sys/block/sda/device/life_time", "0x0b 0x0b\n", 0444);
    plant("/sys/block/mmcblk0/device/life_time", "0x02 0x03\n", 0444);
    plant("/sys/block/mmcblk0/device/pre_eol_info", "0x01\n", 0444);
    expect(&p, check_cards, FINDINGS_N, NULL);
    plant("/sys/block/mmcblk0/device/life_time", "0x02 0x09\n", 0444);
    expect(&p, check_cards, FINDING_CARD_WORN, "vault backup");
    plant("/sys/block/mmcblk0/device/life_time", "garbage\n", 0444);
    expect(&p, check_cards, FINDINGS_N, NULL);
    plant("/sys/block/mmcblk0/device/pre_eol_info", "0x03\n", 0444);
    expect(&p, check_cards, FINDING_CARD_WORN, "vault backup");
}

/* ── Serial ports ── */

static void test_serial_section(void **state)
{
    char port[32];

    assert_true(check_serial_port("{\"url\":\"rtu:/dev/ttyUSB0?baud=9600&parity=E\"}", port, sizeof(port)));
    assert_string_equal(port, "/dev/ttyUSB0");
    assert_true(check_serial_port("{\"url\":\"rtu:/dev/ttyAMA0\"}", port, sizeof(port)));
    assert_true(check_serial_port("{\"url\":\"RTU:/dev/ttyAMA0\"}", port, sizeof(port))); /* as the driver takes it */
    assert_string_equal(port, "/dev/ttyAMA0");
    assert_string_equal(port, "/dev/ttyAMA0");
    assert_false(check_serial_port("{\"url\":\"tcp://10.0.0.1\"}", port, sizeof(port)));
    assert_false(check_serial_port("{\"url\":\"rtu+tcp://10.0.0.1\"}", port, sizeof(port)));
    assert_false(check_serial_port("{}", port, sizeof(port)));
    assert_false(check_serial_port("[", port, sizeof(port)));
    assert_false(check_serial_port("{\"url\":\"rtu:/dev/a-name-that-is-longer-than-the-buffer\"}", port, sizeof(port)));
}

/* Users who configure devices choose these, and root types the commands that are made of them. */
static void test_serial_hostile(void **state)
{
    static const char *const urls[] = {
        "rtu:/dev/x;reboot",   "rtu:/dev/x reboot",    "rtu:/dev/$(reboot)",
        "rtu:/dev/x\\nreboot", "rtu:/dev/\\u001b[2J",  "rtu:/dev/../etc/shadow",
        "rtu:/etc/shadow",     "rtu:/dev/shm/ttyUSB0", "rtu:/dev/`x`",
    };
    struct check_place p = place();
    char port[64];

    for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
        snprintf(section, sizeof(section), "{\"url\":\"%s\"}", urls[i]);
        if (check_serial_port(section, port, sizeof(port)))
            fail_msg("%s is taken as %s", urls[i], port);
        expect(&p, check_serial, FINDINGS_N, NULL);
    }
    assert_true(check_serial_port("{\"url\":\"rtu:/dev/serial/by-path/pci-0000:00:14.0-usb-0:1:1.0-port0\"}", port,
                                  sizeof(port)));
    /* On the machine itself nothing is made accessible that is no device. */
    p.root = "";
    snprintf(section, sizeof(section), "{\"url\":\"rtu:/dev/\"}");
    expect(&p, check_serial, FINDING_SERIAL_MISSING, "ls -l");
}

static void test_serial(void **state)
{
    struct check_place p = place();

    expect(&p, check_serial, FINDING_SERIAL_MISSING, "/dev/serial/by-id");
    plant("/dev/ttyUSB0", "", 0600);
    expect(&p, check_serial, FINDING_SERIAL_DENIED, "chgrp dialout /dev/ttyUSB0");
    plant("/dev/ttyUSB0", "", 0666);
    expect(&p, check_serial, FINDINGS_N, NULL);
    plant("/sys/bus/usb-serial/devices/ttyUSB0/latency_timer", "16\n", 0644);
    expect(&p, check_serial, FINDING_SERIAL_LATENCY, "/sys/bus/usb-serial/devices/ttyUSB0/latency_timer");
    plant("/sys/bus/usb-serial/devices/ttyUSB0/latency_timer", "1\n", 0644);
    expect(&p, check_serial, FINDINGS_N, NULL);
    plant("/etc/systemd/system/getty.target.wants/serial-getty@ttyUSB0.service", "", 0644);
    expect(&p, check_serial, FINDING_SERIAL_CONSOLE, "serial-getty@ttyUSB0");
    device.section = section;
    snprintf(section, sizeof(section), "{\"url\":\"tcp://10.0.0.1\"}");
    expect(&p, check_serial, FINDINGS_N, NULL);
}

static void test_console(void **state)
{
    struct check_place p = place();

    snprintf(section, sizeof(section), "{\"url\":\"rtu:/dev/ttyAMA0\"}");
    plant("/dev/ttyAMA0", "", 0666);
    plant("/proc/cmdline", "console=serial0,115200 console=tty1 root=/dev/mmcblk0p2\n", 0444);
    expect(&p, check_serial, FINDINGS_N, NULL);
    plant("/proc/cmdline", "quiet console=ttyAMA0,115200 root=/dev/mmcblk0p2\n", 0444);
    expect(&p, check_serial, FINDING_SERIAL_CONSOLE, "do_serial_cons");
    assert_true(check_cmdline_console("console=ttyS0", "ttyS0"));
    assert_false(check_cmdline_console("console=ttyS01", "ttyS0"));
    assert_false(check_cmdline_console("netconsole=ttyS0", "ttyS0"));
    assert_false(check_cmdline_console("", "ttyS0"));
    assert_true(check_cmdline_console("console=tty1 console=ttyS0 x", "ttyS0"));
}

/* ── What an installation lacks ── */

static void bluetooth(const struct check_place *p, struct findings *f)
{
    check_bluetooth(p, true, f);
}

static void without_daemon(const struct check_place *p, struct findings *f)
{
    check_bluetooth(p, false, f);
}

static void test_bluetooth(void **state)
{
    struct check_place p = place();

    expect(&p, without_daemon, FINDINGS_N, NULL); /* no device needs it */
    device.driver = (char *)"ble";
    expect(&p, bluetooth, FINDING_BLUETOOTH_ADAPTER, "disable-bt");
    plant("/sys/class/bluetooth/hci0/address", "", 0444);
    expect(&p, bluetooth, FINDINGS_N, NULL);
    expect(&p, without_daemon, FINDING_BLUETOOTH_DAEMON, "apt install bluez");
    plant("/usr/libexec/bluetooth/bluetoothd", "", 0755);
    expect(&p, without_daemon, FINDING_BLUETOOTH_DAEMON, "systemctl enable --now bluetooth");
    plant("/sys/class/rfkill/rfkill0/type", "wlan\n", 0444);
    plant("/sys/class/rfkill/rfkill0/soft", "1\n", 0444);
    plant("/sys/class/rfkill/rfkill1/type", "bluetooth\n", 0444);
    plant("/sys/class/rfkill/rfkill1/soft", "0\n", 0444);
    expect(&p, bluetooth, FINDINGS_N, NULL);
    plant("/sys/class/rfkill/rfkill1/soft", "1\n", 0444);
    expect(&p, bluetooth, FINDING_BLUETOOTH_BLOCKED, "rfkill unblock bluetooth");
    plant("/sys/class/rfkill/rfkill1/hard", "1\n", 0444);
    expect(&p, bluetooth, FINDING_BLUETOOTH_BLOCKED, ""); /* no command turns a switch */
}

static void test_the_rest(void **state)
{
    struct check_place p = place();
    char path[PATH_MAX];

    expect(&p, check_polkit, FINDING_POLKIT_ABSENT, "apt install polkitd");
    plant("/usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service", "", 0644);
    expect(&p, check_polkit, FINDINGS_N, NULL);
    expect(&p, check_time_zone, FINDINGS_N, NULL); /* no time of day is configured */
    config.rotation.window = (struct window){.set = true, .from = 120, .to = 300};
    expect(&p, check_time_zone, FINDING_TIME_ZONE, "set-timezone");
    plant("/etc/x", "", 0644);
    snprintf(path, sizeof(path), "%s/etc/localtime", root);
    assert_int_equal(symlink("/usr/share/zoneinfo/Etc/UTC", path), 0);
    expect(&p, check_time_zone, FINDING_TIME_ZONE, "set-timezone");
    unlink(path);
    assert_int_equal(symlink("/usr/share/zoneinfo/Europe/Berlin", path), 0);
    expect(&p, check_time_zone, FINDINGS_N, NULL);
    expect(&p, check_plugins, FINDING_DRIVER_MISSING, "apt install gatehouse-plugin-modbus");
    device.driver = (char *)"sim";
    expect(&p, check_plugins, FINDING_DRIVER_MISSING, "apt install gatehouse-devcloud");
    plant("/usr/lib/plugins/sim.so", "", 0644);
    expect(&p, check_plugins, FINDINGS_N, NULL);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_keyfile),        CASE(test_configuration),  CASE(test_mistakes_are_findings),
        CASE(test_state),          CASE(test_room),           CASE(test_cards),
        CASE(test_serial_section), CASE(test_serial_hostile), CASE(test_serial),
        CASE(test_console),        CASE(test_bluetooth),      CASE(test_the_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
