/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serial.h"

#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static const struct {
    unsigned baud;
    speed_t speed;
} speeds[] = {
    {300, B300},       {600, B600},       {1200, B1200},     {1800, B1800},       {2400, B2400},     {4800, B4800},
    {9600, B9600},     {19200, B19200},   {38400, B38400},   {57600, B57600},     {115200, B115200}, {230400, B230400},
    {460800, B460800}, {500000, B500000}, {921600, B921600}, {1000000, B1000000},
};

static void wait_for(uint64_t duration)
{
    struct timespec t = {.tv_sec = (time_t)(duration / SEC), .tv_nsec = (long)(duration % SEC) * 1000};

    while (duration > 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
        ;
}

/* --- opening --- */

static int set_mode(int fd, const struct modbus_url *url)
{
    speed_t speed = B9600;
    struct termios t;

    if (tcgetattr(fd, &t) < 0)
        return -errno;
    for (size_t i = 0; i < sizeof speeds / sizeof speeds[0]; i++)
        if (speeds[i].baud == url->baud)
            speed = speeds[i].speed;
    cfmakeraw(&t);
    t.c_cflag &= ~(tcflag_t)(CSIZE | CSTOPB | PARENB | PARODD | CMSPAR | CRTSCTS | HUPCL);
    t.c_cflag |= CS8 | CREAD | CLOCAL | (url->stop == 2 ? CSTOPB : 0);
    if (url->parity != PARITY_NONE)
        t.c_cflag |= PARENB;
    if (url->parity == PARITY_ODD || url->parity == PARITY_MARK)
        t.c_cflag |= PARODD;
    if (url->parity == PARITY_MARK || url->parity == PARITY_SPACE)
        t.c_cflag |= CMSPAR;
    t.c_cc[VMIN] = 0;
    t.c_cc[VTIME] = 0;
    if (cfsetspeed(&t, speed) < 0 || tcsetattr(fd, TCSANOW, &t) < 0)
        return -errno;
    return 0;
}

static int set_rs485(int fd, const struct serial_settings *s)
{
    struct serial_rs485 mode = {0};
    int none = TIOCM_RTS;

    switch (s->rs485) {
    case RS485_AUTO:
        return 0;
    case RS485_KERNEL:
        mode.flags = SER_RS485_ENABLED | SER_RS485_RTS_ON_SEND;
        mode.delay_rts_before_send = (uint32_t)((s->rts_delay + MSEC - 1) / MSEC);
        return ioctl(fd, TIOCSRS485, &mode) < 0 ? -errno : 0;
    case RS485_RTS:
        return ioctl(fd, TIOCMBIC, &none) < 0 ? -errno : 0;
    case RS485_NONE:
        if (ioctl(fd, TIOCGRS485, &mode) == 0 && mode.flags & SER_RS485_ENABLED) {
            mode.flags &= ~(uint32_t)SER_RS485_ENABLED;
            return ioctl(fd, TIOCSRS485, &mode) < 0 ? -errno : 0;
        }
        return 0;
    }
    return 0;
}

/* An FTDI adapter waits up to 16 ms for more bytes unless it is asked not to. Where that cannot be set, all works. */
static void set_low_latency(int fd)
{
    struct serial_struct serial = {0};

    if (ioctl(fd, TIOCGSERIAL, &serial) < 0 || serial.flags & ASYNC_LOW_LATENCY)
        return;
    serial.flags |= ASYNC_LOW_LATENCY;
    (void)ioctl(fd, TIOCSSERIAL, &serial);
}

static int set_up(int fd, const struct modbus_url *url, const struct serial_settings *s, char *error, size_t size)
{
    int r;

    if (!isatty(fd)) {
        (void)snprintf(error, size, "%s is no serial device", url->host);
        return -ENOTTY;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 || ioctl(fd, TIOCEXCL) < 0) {
        (void)snprintf(error, size, "%s is in use by another program, or by a device here under another name",
                       url->host);
        return -EBUSY;
    }
    r = set_mode(fd, url);
    if (r < 0) {
        (void)snprintf(error, size, "the line's settings are refused: %s", strerror(-r));
        return r;
    }
    r = set_rs485(fd, s);
    if (r < 0) {
        (void)snprintf(error, size, "%s cannot be set (%s): its driver does not do it; try \"rs485\": \"auto\"",
                       s->rs485 == RS485_RTS ? "RTS" : "RS-485", strerror(-r));
        return r;
    }
    if (s->low_latency)
        set_low_latency(fd);
    serial_flush(fd);
    return 0;
}

int serial_open(const struct modbus_url *url, const struct serial_settings *settings, int *ret_fd, char *error,
                size_t error_size)
{
    int fd = open(url->host, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), r = -errno;

    if (fd < 0) {
        if (r == -EBUSY)
            (void)snprintf(error, error_size, "it is in use by another program");
        else if (r == -ENOENT || r == -ENXIO || r == -ENODEV)
            (void)snprintf(error, error_size, "there is no such device: is the adapter plugged in? (%s)", strerror(-r));
        else if (r == -EACCES || r == -EPERM)
            (void)snprintf(error, error_size, "%s: the driver's user needs the group of the device (dialout)",
                           strerror(-r));
        else
            (void)snprintf(error, error_size, "cannot open it: %s", strerror(-r));
        return r;
    }
    r = set_up(fd, url, settings, error, error_size);
    if (r < 0) {
        serial_close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

void serial_close(int fd)
{
    (void)tcflush(fd, TCIOFLUSH);
    (void)ioctl(fd, TIOCNXCL);
    close(fd);
}

void serial_flush(int fd)
{
    (void)tcflush(fd, TCIFLUSH);
}

/* --- sending --- */

static int send_all(int fd, const uint8_t *bytes, size_t n, uint64_t deadline)
{
    while (n > 0) {
        ssize_t sent = write(fd, bytes, n);
        if (sent > 0) {
            bytes += sent;
            n -= (size_t)sent;
            continue;
        }
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        uint64_t now = monotonic_now();
        if (now >= deadline)
            return -ETIMEDOUT;
        (void)poll(&p, 1, (int)((deadline - now) / MSEC + 1));
    }
    return 0;
}

/* tcdrain has no bound: an adapter that is gone or stuck would hold the bus. */
static void drain(int fd, uint64_t until, uint64_t deadline, bool whole)
{
    uint64_t now = monotonic_now();
    unsigned state;
    int left;

    if (now < until)
        wait_for(until - now);
    while (monotonic_now() < deadline && ioctl(fd, TIOCOUTQ, &left) == 0 && left > 0)
        wait_for(200);
    /* The last character is still in the transmitter, whose driver may tell. */
    while (whole && monotonic_now() < deadline && ioctl(fd, TIOCSERGETLSR, &state) == 0 && !(state & TIOCSER_TEMT))
        wait_for(50);
}

int serial_send(int fd, const struct modbus_url *url, const struct serial_settings *s, const uint8_t *bytes, size_t n)
{
    bool by_hand = s->rs485 == RS485_RTS;
    int rts = TIOCM_RTS, r;

    if (by_hand) {
        if (ioctl(fd, TIOCMBIS, &rts) < 0)
            return -errno;
        wait_for(s->rts_delay);
    }
    uint64_t start = monotonic_now(), end = start + modbus_url_time(url, n);
    r = send_all(fd, bytes, n, end + DRAIN_MAX);
    if (r == 0)
        drain(fd, end, end + DRAIN_MAX, by_hand);
    /* At once: a unit may answer after 3.5 characters, and its first bytes must not meet our driver. */
    if (by_hand && ioctl(fd, TIOCMBIC, &rts) < 0 && r == 0)
        r = -errno;
    return r;
}
