/* Connections over TCP between the ranks of a run, over POSIX sockets. Part of sys.h's calls to the operating
 * system. All sockets are non-blocking. Nothing here trusts the other side: what arrives is bytes.
 */
#ifndef P2P_SYS_SOCKET_H
#define P2P_SYS_SOCKET_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An address of this machine with a port. Plain bytes, so that it can be sent to another machine of the same
 * architecture. */
enum { SYS_ADDRESS_BYTES = 32, SYS_ADDRESSES = 32, SYS_ADDRESS_TEXT = 64 };
typedef struct {
    uint8_t bytes[SYS_ADDRESS_BYTES];
    uint32_t size; /* 0: none */
} sys_address;

/* Sockets that accept connections, of IPv4 and IPv6; -1: none. */
typedef struct {
    int sockets[2];
} sys_listener;

/* Listen at free ports of all interfaces, and list the addresses at which this machine can be reached: at
 * most SYS_ADDRESSES, loopback last. P2P_FAILED if there is none. */
p2p_status sys_listen(sys_listener *listener, sys_address addresses[SYS_ADDRESSES]);
/* The socket of the next connection; -1 if there is none now. */
int sys_accept(const sys_listener *listener);
void sys_listener_close(sys_listener *listener);

/* Begin to connect. The socket, which becomes writable or fails later; -1 if it failed at once. */
int sys_connect(const sys_address *address);
/* "192.0.2.1 port 4711" */
void sys_address_text(const sys_address *address, char text[SYS_ADDRESS_TEXT]);

/* Wait until a socket (-1: ignored) can be read, and, where `writes` is true, be written; at most so long.
 * Sets ready[i]. */
void sys_sockets_wait(const int *sockets, const bool *writes, bool *ready, int count, double seconds);
/* Send or receive what is possible now. The number of bytes; 0 if nothing is possible now; -1 if the
 * connection has ended. */
long sys_send(int socket, const void *bytes, size_t size);
long sys_receive(int socket, void *bytes, size_t size);
void sys_socket_close(int socket); /* -1 is ignored */

/* Random bytes that can't be guessed. */
p2p_status sys_random(void *bytes, size_t size);
/* The machine's name; "?" if it is unknown. */
void sys_host_name(char *name, size_t size);

#endif
