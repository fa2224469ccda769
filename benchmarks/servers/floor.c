/* The least that an instant-messaging server can do: what floor.py does, in C with epoll.
 *
 * Reads REGISTER, JOIN and SEND_MESSAGE as lines of improto's ascii codec and writes ONLINE_USERS (of oneself only) and
 * MESSAGE.  Every JOIN is into the one conversation there is.  Nothing is checked, and a reader that stops fills the
 * memory.  What one turn of the loop causes is written once per connection.
 *
 *     cc -O2 -o floor floor.c && ./floor PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM 65536

struct client {
    char name[80];
    char *in, *out;
    size_t in_used, out_used, out_size;
    int dirty, watched;
};

static struct client **clients; /* by descriptor */
static int *members, member_count, *dirty, dirty_count, poller;

static void queue(int fd, const char *data, size_t size) {
    struct client *c = clients[fd];
    if (c->out_used + size > c->out_size) {
        c->out_size = (c->out_used + size) * 2;
        c->out = realloc(c->out, c->out_size);
    }
    memcpy(c->out + c->out_used, data, size);
    c->out_used += size;
    if (!c->dirty) {
        c->dirty = 1;
        dirty[dirty_count++] = fd;
    }
}

static void watch(int fd, int writable) {
    struct epoll_event event = {.events = writable ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.fd = fd};
    if (clients[fd]->watched != writable) epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event);
    clients[fd]->watched = writable;
}

static void flush(int fd) {
    struct client *c = clients[fd];
    if (c == NULL) return;
    ssize_t sent = send(fd, c->out, c->out_used, MSG_NOSIGNAL);
    if (sent > 0) {
        c->out_used -= sent;
        memmove(c->out, c->out + sent, c->out_used);
    }
    c->dirty = 0;
    watch(fd, c->out_used > 0);
}

static void drop(int fd) {
    for (int i = 0; i < member_count; i++)
        if (members[i] == fd) members[i--] = members[--member_count];
    free(clients[fd]->in);
    free(clients[fd]->out);
    free(clients[fd]);
    clients[fd] = NULL;
    close(fd);
}

static void handle(int fd, char *line) {
    struct client *c = clients[fd];
    char out[ROOM + 256], *space = strchr(line, ' ');
    if (space == NULL) return;
    *space++ = 0;
    if (strcmp(line, "SEND_MESSAGE") == 0) {
        char *text = strchr(space, ' ');
        if (text == NULL) return;
        *text++ = 0;
        size_t size = (size_t)snprintf(out, sizeof out, "MESSAGE %s %s %s\n", space, c->name, text);
        for (int i = 0; i < member_count; i++) queue(members[i], out, size);
    } else if (strcmp(line, "JOIN") == 0) {
        members[member_count++] = fd;
    } else if (strcmp(line, "REGISTER") == 0) {
        snprintf(c->name, sizeof c->name, "%s", strtok(space, " "));
        queue(fd, out, (size_t)snprintf(out, sizeof out, "ONLINE_USERS %s=x\n", c->name));
    }
}

static void receive(int fd) {
    struct client *c = clients[fd];
    ssize_t got = recv(fd, c->in + c->in_used, ROOM - c->in_used - 1, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) drop(fd);
        return;
    }
    c->in_used += got;
    char *start = c->in, *end;
    while ((end = memchr(start, '\n', c->in + c->in_used - start)) != NULL) {
        *end = 0;
        handle(fd, start);
        start = end + 1;
    }
    c->in_used -= start - c->in;
    memmove(c->in, start, c->in_used);
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[argc - 1]))};
    struct rlimit most;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    size_t count = most.rlim_max > 1000000 ? 1000000 : most.rlim_max;
    clients = calloc(count, sizeof *clients);
    members = calloc(count, sizeof *members);
    dirty = calloc(count, sizeof *dirty);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) return 1;
    poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[1024];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poller, events, 1024, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int accepted;
                while ((accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    clients[accepted] = calloc(1, sizeof(struct client));
                    clients[accepted]->in = malloc(ROOM);
                    event = (struct epoll_event){.events = EPOLLIN, .data.fd = accepted};
                    epoll_ctl(poller, EPOLL_CTL_ADD, accepted, &event);
                }
                continue;
            }
            if (events[i].events & EPOLLOUT) flush(fd);
            if (clients[fd] && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(fd);
        }
        for (int i = 0; i < dirty_count; i++) flush(dirty[i]);
        dirty_count = 0;
    }
}
