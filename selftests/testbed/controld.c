// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * controld.c - runs commands on an emulated host for the test that drives it.
 *
 * Speaks frames over one virtio-serial port: many commands at once, their output
 * as it comes, their exit status, signals to them. It is also process 1 of the
 * host, so it reaps everything. What to run and how long is left to control.py.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_JOBS	64
#define MAX_PAYLOAD	65536

enum frame_type {
	FRAME_READY = 1,	/* host -> test: waiting for commands */
	FRAME_START,		/* test -> host: command, run by sh */
	FRAME_START_TTY,	/* the same, on a terminal of its own */
	FRAME_INPUT,		/* test -> host: for stdin; empty closes it */
	FRAME_SIGNAL,		/* test -> host: u32 signal for the whole group */
	FRAME_OUTPUT,		/* host -> test: from stdout */
	FRAME_ERROR,		/* host -> test: from stderr */
	FRAME_EXIT,		/* host -> test: u32 wait status */
};

struct frame_header {
	uint32_t job;		/* little endian, as all of it */
	uint32_t type;
	uint32_t len;
};

struct job {
	uint32_t id;
	pid_t pid;		/* 0: has exited */
	int in, out, err;	/* -1: closed */
};

static struct job jobs[MAX_JOBS];
static int port;

static void die(const char *what)
{
	fprintf(stderr, "controld: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void write_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			die("write");
		if (n > 0) {
			at += n;
			len -= n;
		}
	}
}

static void read_all(int fd, void *data, size_t len)
{
	char *at = data;

	while (len) {
		ssize_t n = read(fd, at, len);

		if (n == 0)
			die("port closed");
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			die("read");
		if (n > 0) {
			at += n;
			len -= n;
		}
	}
}

static void send_frame(uint32_t job, uint32_t type, const void *data, uint32_t len)
{
	struct frame_header header = { htole32(job), htole32(type), htole32(len) };

	write_all(port, &header, sizeof(header));
	write_all(port, data, len);
}

static void send_exit(uint32_t job, int status)
{
	uint32_t wire = htole32(status);

	send_frame(job, FRAME_EXIT, &wire, sizeof(wire));
}

static struct job *find_job(uint32_t id)
{
	for (int i = 0; i < MAX_JOBS; i++)
		if (jobs[i].id == id)
			return &jobs[i];
	return NULL;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* A job is kept while something it left behind still holds its output. */
static void free_job_when_done(struct job *job)
{
	if (job->pid || job->out >= 0 || job->err >= 0)
		return;
	close_fd(&job->in);
	job->id = 0;
}

static void exec_command(const char *command)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(127);
}

static pid_t spawn_on_tty(struct job *job, const char *command)
{
	int tty;
	pid_t pid = forkpty(&tty, NULL, NULL, NULL);

	if (!pid)
		exec_command(command);
	if (pid > 0) {
		job->out = tty;
		job->in = fcntl(tty, F_DUPFD_CLOEXEC, 0);
		fcntl(tty, F_SETFD, FD_CLOEXEC);
	}
	return pid;
}

static pid_t spawn_on_pipes(struct job *job, const char *command)
{
	int in[2], out[2], err[2];
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		die("pipe");
	pid = fork();
	if (!pid) {
		setsid();
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		exec_command(command);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	job->in = in[1];
	job->out = out[0];
	job->err = err[0];
	return pid;
}

static void start_job(uint32_t id, const char *command, int on_tty)
{
	struct job *job = find_job(0);

	if (!job) {
		send_exit(id, 126 << 8);
		return;
	}
	*job = (struct job){ .id = id, .in = -1, .out = -1, .err = -1 };
	job->pid = on_tty ? spawn_on_tty(job, command) : spawn_on_pipes(job, command);
	if (job->pid < 0)
		die("fork");
	fcntl(job->in, F_SETFL, O_NONBLOCK);
	fcntl(job->out, F_SETFL, O_NONBLOCK);
	if (job->err >= 0)
		fcntl(job->err, F_SETFL, O_NONBLOCK);
}

static void give_input(struct job *job, const char *data, uint32_t len)
{
	if (!len)
		close_fd(&job->in);
	else if (job->in >= 0 && write(job->in, data, len) < 0 && errno == EPIPE)
		close_fd(&job->in);
}

static void signal_job(struct job *job, const char *data)
{
	uint32_t sig;

	memcpy(&sig, data, sizeof(sig));
	if (job->pid)
		kill(-job->pid, le32toh(sig));
}

static void obey_frame(void)
{
	static char payload[MAX_PAYLOAD + 1];
	struct frame_header header;
	struct job *job;
	uint32_t id, len;

	read_all(port, &header, sizeof(header));
	id = le32toh(header.job);
	len = le32toh(header.len);
	if (len > MAX_PAYLOAD)
		die("frame too long");
	read_all(port, payload, len);
	payload[len] = 0;
	switch (le32toh(header.type)) {
	case FRAME_START:
		start_job(id, payload, 0);
		break;
	case FRAME_START_TTY:
		start_job(id, payload, 1);
		break;
	case FRAME_INPUT:
		job = find_job(id);
		if (job)
			give_input(job, payload, len);
		break;
	case FRAME_SIGNAL:
		job = find_job(id);
		if (job && len == sizeof(uint32_t))
			signal_job(job, payload);
		break;
	}
}

static void forward_output(struct job *job, int *fd, uint32_t type)
{
	char data[16384];
	ssize_t n;

	while (*fd >= 0) {
		n = read(*fd, data, sizeof(data));
		if (n > 0)
			send_frame(job->id, type, data, n);
		else if (n < 0 && errno == EAGAIN)
			return;
		else if (!n || errno != EINTR)
			close_fd(fd);	/* end, or EIO of a terminal hung up */
	}
}

static void reap_children(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (int i = 0; i < MAX_JOBS; i++) {
			struct job *job = &jobs[i];

			if (!job->id || job->pid != pid)
				continue;
			/* All it wrote goes out before the news of its end. */
			forward_output(job, &job->out, FRAME_OUTPUT);
			forward_output(job, &job->err, FRAME_ERROR);
			job->pid = 0;
			send_exit(job->id, status);
			free_job_when_done(job);
		}
	}
}

static void serve_jobs(struct pollfd *fds)
{
	for (int i = 0; i < MAX_JOBS; i++) {
		struct job *job = &jobs[i];

		if (!job->id)
			continue;
		if (fds[2 * i].revents)
			forward_output(job, &job->out, FRAME_OUTPUT);
		if (fds[2 * i + 1].revents)
			forward_output(job, &job->err, FRAME_ERROR);
		free_job_when_done(job);
	}
}

static void wait_and_serve(int signals)
{
	struct pollfd fds[2 + 2 * MAX_JOBS];
	struct signalfd_siginfo info;

	fds[0] = (struct pollfd){ .fd = port, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = signals, .events = POLLIN };
	for (int i = 0; i < MAX_JOBS; i++) {
		int used = jobs[i].id != 0;

		fds[2 + 2 * i] = (struct pollfd){ .fd = used ? jobs[i].out : -1, .events = POLLIN };
		fds[3 + 2 * i] = (struct pollfd){ .fd = used ? jobs[i].err : -1, .events = POLLIN };
	}
	if (poll(fds, 2 + 2 * MAX_JOBS, -1) < 0)
		return;
	serve_jobs(fds + 2);
	if (fds[1].revents && read(signals, &info, sizeof(info)) > 0)
		reap_children();
	if (fds[0].revents)
		obey_frame();
}

int main(int argc, char **argv)
{
	sigset_t chld;
	int signals;

	if (argc != 2) {
		fprintf(stderr, "usage: controld PORT\n");
		return 2;
	}
	port = open(argv[1], O_RDWR | O_CLOEXEC);
	if (port < 0)
		die(argv[1]);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	signals = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		die("signalfd");
	send_frame(0, FRAME_READY, "", 0);
	for (;;)
		wait_and_serve(signals);
}
