/* The only program of the test image: everything a pod under test has to do. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void on_term(int n) {
    (void)n;
    (void)!write(1, "terminated politely\n", 20);
    _exit(0);
}

static int serve(int port, const char *text) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = INADDR_ANY};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 16)) { perror("serve"); return 1; }
    printf("serving %s on %d\n", text, port);
    fflush(stdout);
    for (;;) {
        int c = accept(fd, 0, 0);
        char in[1024], out[1024];
        if (c < 0) continue;
        (void)!read(c, in, sizeof in);
        int ok = access("/tmp/unhealthy", F_OK) != 0;
        int n = snprintf(out, sizeof out, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                         ok ? "200 OK" : "500 Broken", strlen(text), text);
        (void)!write(c, out, n);
        close(c);
    }
}

static int get(const char *host, const char *port) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    int e = getaddrinfo(host, port, &hints, &found);
    if (e) { printf("lookup failed: %s\n", gai_strerror(e)); return 2; }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, found->ai_addr, found->ai_addrlen)) { printf("connect failed: %s\n", strerror(errno)); return 3; }
    if (write(fd, "GET / HTTP/1.0\r\n\r\n", 18) != 18) { printf("write failed\n"); return 4; }
    char in[4096]; ssize_t n, total = 0;
    while ((n = read(fd, in, sizeof in)) > 0) { fwrite(in, 1, n, stdout); total += n; }
    if (n < 0 || total == 0) { printf("read failed: %s\n", strerror(errno)); return 5; }
    return 0;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    signal(SIGTERM, on_term);
    if (!strcmp(what, "serve") && argc > 3) return serve(atoi(argv[2]), argv[3]);
    if (!strcmp(what, "get") && argc > 3) return get(argv[2], argv[3]);
    if (!strcmp(what, "wait")) { printf("waiting\n"); fflush(stdout); for (;;) pause(); }
    if (!strcmp(what, "stubborn")) { signal(SIGTERM, SIG_IGN); printf("stubborn\n"); fflush(stdout); for (;;) pause(); }
    if (!strcmp(what, "crash")) { printf("about to fail\n"); fprintf(stderr, "reason: no flux\n"); return 3; }
    if (!strcmp(what, "id")) {
        char host[65] = ""; gethostname(host, sizeof host);
        printf("uid=%d gid=%d pid=%d host=%s\n", getuid(), getgid(), getpid(), host);
        return 0;
    }
    if (!strcmp(what, "env") && argc > 2) { char *v = getenv(argv[2]); printf("%s\n", v ? v : "(unset)"); return 0; }
    if (!strcmp(what, "cat") && argc > 2) {
        FILE *f = fopen(argv[2], "r"); char b[4096]; size_t n;
        if (!f) { printf("cannot read %s: %s\n", argv[2], strerror(errno)); return 1; }
        while ((n = fread(b, 1, sizeof b, f)) > 0) fwrite(b, 1, n, stdout);
        return 0;
    }
    if (!strcmp(what, "write") && argc > 3) {
        FILE *f = fopen(argv[2], "w");
        if (!f) { printf("cannot write %s: %s\n", argv[2], strerror(errno)); return 1; }
        fprintf(f, "%s\n", argv[3]); return fclose(f) ? 1 : 0;
    }
    if (!strcmp(what, "ls") && argc > 2) {
        DIR *d = opendir(argv[2]); struct dirent *e;
        if (!d) { printf("cannot list %s: %s\n", argv[2], strerror(errno)); return 1; }
        while ((e = readdir(d))) printf("%s\n", e->d_name);
        return 0;
    }
    if (!strcmp(what, "echo")) { int c; while ((c = getchar()) != EOF) putchar(c); return 7; }
    if (!strcmp(what, "eat")) {
        for (size_t i = 0;; i++) { char *p = malloc(1 << 20); if (!p) return 9; memset(p, 1, 1 << 20); }
    }
    fprintf(stderr, "unknown: %s\n", what);
    return 64;
}
