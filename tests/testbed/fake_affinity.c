/* CPU masks of a machine that this one is not.
 *
 * slurmd binds tasks to cores 0-127 of a pretended node; the kernel here has two. Preloaded into
 * slurmd and into every task, this keeps each mask in MASKS/PID.STARTTIME and gives it back to
 * whoever asks: the process itself, or a child that never got one of its own.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LARGEST_MASK = 1024, DEEPEST_TREE = 64 };

struct who {
	int parent;
	unsigned long long start;
};

static int look_up(int pid, struct who *who)
{
	char path[64], text[2048], *name_end;
	size_t length;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	if (!(file = fopen(path, "re")))
		return -1;
	length = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[length] = 0;
	/* the name may hold blanks and brackets, so count from the last bracket */
	if (!(name_end = strrchr(text, ')')))
		return -1;
	return sscanf(name_end + 1,
		      " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		      &who->parent, &who->start) == 2 ? 0 : -1;
}

static void mask_file(char *path, size_t size, int pid, unsigned long long start)
{
	snprintf(path, size, MASKS "/%d.%llu", pid, start);
}

int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *mask)
{
	char path[4096];
	struct who who;
	FILE *file;
	size_t i, any = 0;

	for (i = 0; i < size; i++)
		any |= ((const unsigned char *) mask)[i];
	if (!any) {
		errno = EINVAL; /* as the kernel says of an empty set */
		return -1;
	}
	if (!pid)
		pid = getpid();
	if (look_up(pid, &who)) {
		errno = ESRCH;
		return -1;
	}
	mask_file(path, sizeof path, pid, who.start);
	unlink(path);
	if (!(file = fopen(path, "we")))
		return -1;
	fwrite(mask, 1, size > LARGEST_MASK ? LARGEST_MASK : size, file);
	fclose(file);
	return 0;
}

static int kept_mask(int pid, size_t size, cpu_set_t *mask)
{
	unsigned char bytes[LARGEST_MASK];
	char path[4096];
	struct who who;
	int depth;

	for (depth = 0; pid > 1 && depth < DEEPEST_TREE; depth++, pid = who.parent) {
		FILE *file;
		size_t length;

		if (look_up(pid, &who))
			return -1;
		mask_file(path, sizeof path, pid, who.start);
		if (!(file = fopen(path, "re")))
			continue;
		length = fread(bytes, 1, sizeof bytes, file);
		fclose(file);
		for (; length > size; length--)
			if (bytes[length - 1]) {
				errno = EINVAL; /* the caller's set is too small for it */
				return -2;
			}
		memset(mask, 0, size);
		memcpy(mask, bytes, length);
		return 0;
	}
	return -1;
}

int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *mask)
{
	static int (*kernel)(pid_t, size_t, cpu_set_t *);
	int kept = kept_mask(pid ? pid : getpid(), size, mask);

	if (kept == -2)
		return -1;
	if (kept == 0)
		return 0;
	if (!kernel)
		kernel = (int (*)(pid_t, size_t, cpu_set_t *)) dlsym(RTLD_NEXT, "sched_getaffinity");
	return kernel(pid, size, mask);
}

int pthread_setaffinity_np(pthread_t thread, size_t size, const cpu_set_t *mask)
{
	(void) thread;
	return sched_setaffinity(0, size, mask) ? errno : 0;
}

int pthread_getaffinity_np(pthread_t thread, size_t size, cpu_set_t *mask)
{
	(void) thread;
	return sched_getaffinity(0, size, mask) ? errno : 0;
}
