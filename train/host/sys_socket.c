/* Connections between ranks over POSIX sockets. See sys_socket.h. */
#define _GNU_SOURCE /* getifaddrs, getrandom */
#include "sys_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

_Static_assert(sizeof(struct sockaddr_in6) <= SYS_ADDRESS_BYTES, "an address does not fit");

/* ---- Listening ---------------------------------------------------------------------------------------- */

static int close_failed(int descriptor) {
    close(descriptor);
    return -1;
}

static int open_socket(int family) {
    const int opened = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
    if (opened < 0) return -1;
    setsockopt(opened, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (family == AF_INET6) setsockopt(opened, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
    return opened;
}

static int listen_at(int family) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    const bool is_v4 = family == AF_INET;
    const struct sockaddr *address = is_v4 ? (const void *)&v4 : (const void *)&v6;
    const int opened = open_socket(family);
    if (opened < 0) return -1;
    if (bind(opened, address, is_v4 ? sizeof v4 : sizeof v6) == 0 && listen(opened, 128) == 0) return opened;
    return close_failed(opened);
}

/* The port of a listening socket, in the network's order; 0 without a socket. */
static in_port_t port_of(int opened) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {.v6 = {0}};
    socklen_t size = sizeof address;
    if (opened < 0 || getsockname(opened, &address.any, &size) != 0) return 0;
    return address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port;
}

/* An interface's address with the port of its family; size 0 if it can't be reached there. */
static sys_address reachable(const struct ifaddrs *at, in_port_t v4_port, in_port_t v6_port) {
    sys_address made = {.size = 0};
    if (!at->ifa_addr || !(at->ifa_flags & IFF_UP)) return made;
    if (at->ifa_addr->sa_family == AF_INET && v4_port) {
        struct sockaddr_in address = *(const struct sockaddr_in *)(const void *)at->ifa_addr;
        address.sin_port = v4_port;
        memcpy(made.bytes, &address, made.size = sizeof address);
    } else if (at->ifa_addr->sa_family == AF_INET6 && v6_port) {
        struct sockaddr_in6 address = *(const struct sockaddr_in6 *)(const void *)at->ifa_addr;
        if (IN6_IS_ADDR_LINKLOCAL(&address.sin6_addr)) return made;
        address.sin6_port = v6_port;
        memcpy(made.bytes, &address, made.size = sizeof address);
    }
    return made;
}

static int list_addresses(const sys_listener *listener, sys_address addresses[SYS_ADDRESSES]) {
    const in_port_t v4 = port_of(listener->sockets[0]), v6 = port_of(listener->sockets[1]);
    struct ifaddrs *all;
    int count = 0;
    if (getifaddrs(&all) != 0) return 0;
    for (int loopback = 0; loopback < 2; loopback++)
        for (const struct ifaddrs *at = all; at && count < SYS_ADDRESSES; at = at->ifa_next) {
            const sys_address address = reachable(at, v4, v6);
            if (address.size > 0 && !(at->ifa_flags & IFF_LOOPBACK) == !loopback)
                addresses[count++] = address;
        }
    freeifaddrs(all);
    return count;
}

p2p_status sys_listen(sys_listener *listener, sys_address addresses[SYS_ADDRESSES]) {
    memset(addresses, 0, SYS_ADDRESSES * sizeof *addresses);
    *listener = (sys_listener){{listen_at(AF_INET), listen_at(AF_INET6)}};
    if (list_addresses(listener, addresses) > 0) return P2P_OK;
    sys_listener_close(listener);
    return p2p_fail(P2P_FAILED, "this machine has no address at which other ranks can reach it");
}

int sys_accept(const sys_listener *listener) {
    const int yes = 1;
    for (int i = 0; i < 2; i++) {
        if (listener->sockets[i] < 0) continue;
        const int accepted = accept4(listener->sockets[i], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        if (accepted >= 0) return accepted;
    }
    return -1;
}

void sys_listener_close(sys_listener *listener) {
    for (int i = 0; i < 2; i++) sys_socket_close(listener->sockets[i]);
    *listener = (sys_listener){{-1, -1}};
}

/* ---- Connecting --------------------------------------------------------------------------------------- */

int sys_connect(const sys_address *address) {
    struct sockaddr_storage to = {0};
    memcpy(&to, address->bytes, address->size);
    const int opened = open_socket(to.ss_family);
    if (opened < 0) return -1;
    if (connect(opened, (const void *)&to, address->size) == 0 || errno == EINPROGRESS) return opened;
    return close_failed(opened);
}

void sys_address_text(const sys_address *address, char text[SYS_ADDRESS_TEXT]) {
    struct sockaddr_storage of = {0};
    char host[INET6_ADDRSTRLEN] = "?";
    memcpy(&of, address->bytes, address->size);
    const struct sockaddr_in *v4 = (const void *)&of;
    const struct sockaddr_in6 *v6 = (const void *)&of;
    const bool is_v4 = of.ss_family == AF_INET;
    inet_ntop(of.ss_family, is_v4 ? (const void *)&v4->sin_addr : &v6->sin6_addr, host, sizeof host);
    snprintf(text, SYS_ADDRESS_TEXT, "%s port %d", host, ntohs(is_v4 ? v4->sin_port : v6->sin6_port));
}

/* ---- Transfers ---------------------------------------------------------------------------------------- */

void sys_sockets_wait(const int *sockets, const bool *writes, bool *ready, int count, double seconds) {
    struct pollfd *waited = calloc((size_t)count + 1, sizeof *waited);
    for (int i = 0; i < count; i++) ready[i] = false;
    if (!waited) { /* then all are tried, a little later */
        (void)poll(NULL, 0, 50);
        for (int i = 0; i < count; i++) ready[i] = true;
        return;
    }
    for (int i = 0; i < count; i++)
        waited[i] = (struct pollfd){.fd = sockets[i], .events = writes[i] ? POLLIN | POLLOUT : POLLIN};
    if (poll(waited, (nfds_t)count, (int)(1000 * seconds)) > 0)
        for (int i = 0; i < count; i++) ready[i] = waited[i].revents != 0;
    free(waited);
}

/* The result of send or recv as sys_socket.h has it; recv's 0 is an end. */
static long moved(ssize_t count, bool zero_is_end) {
    if (count > 0) return (long)count;
    if (count == 0) return zero_is_end ? -1 : 0;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOTCONN ? 0 : -1;
}

long sys_send(int socket, const void *bytes, size_t size) {
    return moved(send(socket, bytes, size, MSG_NOSIGNAL), false);
}

long sys_receive(int socket, void *bytes, size_t size) {
    return moved(recv(socket, bytes, size, 0), true);
}

void sys_socket_close(int socket) {
    if (socket >= 0) close(socket);
}

/* ---- Names -------------------------------------------------------------------------------------------- */

p2p_status sys_random(void *bytes, size_t size) {
    if (getrandom(bytes, size, 0) == (ssize_t)size) return P2P_OK;
    return p2p_fail(P2P_FAILED, "the system gives no random numbers: %s", strerror(errno));
}

void sys_host_name(char *name, size_t size) {
    if (gethostname(name, size) != 0) snprintf(name, size, "?");
    name[size - 1] = '\0';
}
