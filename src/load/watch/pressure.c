#include "load/watch/pressure.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WINDOW_NS (95 * INT64_C(1000000)) /* what looks every 100 ms may come a little early */
/* A thread that computed for so much of a window had no time to be punctual in it. */
#define WINDOW_BUSY 0.9

/* ---- what the system counts ---- */

static int64_t thread_cpu_ns(void)
{
    struct timespec ts;
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) != 0 ? 0 : (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int64_t run_delay_ns(void)
{
    int64_t delay_ns = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    if (file != NULL) {
        if (fscanf(file, "%*d %" SCNd64, &delay_ns) != 1) {
            delay_ns = 0;
        }
        (void)fclose(file);
    }
    return delay_ns;
}

/* user nice system idle iowait irq softirq steal */
static void machine_ticks(struct pressure_sample *sample)
{
    uint64_t ticks[8] = {0};
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL) {
        return;
    }
    if (fscanf(file, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
               &ticks[0], &ticks[1], &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7]) == 8) {
        for (int i = 0; i < 8; i++) {
            sample->of_all_ticks += ticks[i];
        }
        sample->stolen_ticks = ticks[7];
    }
    (void)fclose(file);
}

static int64_t throttled_in(const char *path)
{
    char line[128];
    int64_t value = 0;
    int64_t ns = 0;
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "throttled_usec %" SCNd64, &value) == 1) { /* version 2 */
            ns = value * NS_PER_US;
        } else if (sscanf(line, "throttled_time %" SCNd64, &value) == 1) { /* version 1 */
            ns = value;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return ns;
}

/* Of the control group of this process, in either version. */
static int64_t throttled_ns(void)
{
    char line[512];
    int64_t ns = 0;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file != NULL && ns == 0 && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
        if (group == NULL) {
            continue;
        }
        *group++ = '\0';
        char path[640];
        if (controllers[1] == '\0') {
            (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.stat", group);
        } else if (strstr(controllers, ":cpu,") != NULL || strcmp(controllers, ":cpu") == 0) {
            (void)snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.stat", group);
        } else {
            continue;
        }
        ns = throttled_in(path);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return ns;
}

static struct pressure_sample take(const struct pressure *pressure)
{
    return (struct pressure_sample){.wall_ns = mono_now().ns, .cpu_ns = thread_cpu_ns(), .spin_ns = pressure->spin_ns};
}

static struct pressure_sample take_all(const struct pressure *pressure)
{
    struct pressure_sample sample = take(pressure);
    sample.run_delay_ns = run_delay_ns();
    sample.throttled_ns = throttled_ns();
    machine_ticks(&sample);
    return sample;
}

static double share(int64_t part, int64_t whole)
{
    return whole > 0 && part > 0 ? (double)part / (double)whole : 0.0;
}

static int64_t worked_ns(const struct pressure_sample *from, const struct pressure_sample *to)
{
    return (to->cpu_ns - from->cpu_ns) - (to->spin_ns - from->spin_ns);
}

/* ---- waiting actively ---- */

/* Runs when a turn of the loop had nothing to do. Two in successive turns: what lies between was only waiting. */
static void on_idle(struct ev_loop *loop, ev_idle *idle, int revents)
{
    (void)revents;
    struct pressure *pressure = idle->data;
    int64_t now_ns = mono_now().ns;
    if (ev_iteration(loop) == pressure->spin_iteration + 1) {
        pressure->spin_ns += now_ns - pressure->spin_last_ns;
    }
    pressure->spin_iteration = ev_iteration(loop);
    pressure->spin_last_ns = now_ns;
}

void pressure_spin(struct pressure *pressure)
{
    ev_idle_start(pressure->loop, &pressure->spin);
}

/* ---- the measurement ---- */

void pressure_init(struct pressure *pressure, struct ev_loop *loop)
{
    *pressure = (struct pressure){.loop = loop};
    ev_idle_init(&pressure->spin, on_idle);
    pressure->spin.data = pressure;
}

void pressure_begin(struct pressure *pressure)
{
    pressure->from = pressure->last = take_all(pressure);
}

void pressure_look(struct pressure *pressure)
{
    struct pressure_sample now = take(pressure);
    if (now.wall_ns - pressure->last.wall_ns < WINDOW_NS) {
        return;
    }
    double busy = share(worked_ns(&pressure->last, &now), now.wall_ns - pressure->last.wall_ns);
    pressure->busiest = busy > pressure->busiest ? busy : pressure->busiest;
    pressure->windows++;
    pressure->busy_windows += busy > WINDOW_BUSY ? 1 : 0;
    pressure->last = now;
}

void pressure_end(struct pressure *pressure, struct tally *tally)
{
    ev_idle_stop(pressure->loop, &pressure->spin);
    if (pressure->from.wall_ns == 0) {
        return; /* there was no measurement */
    }
    pressure_look(pressure);
    struct pressure_sample now = take_all(pressure);
    const struct pressure_sample *from = &pressure->from;
    int64_t wall_ns = now.wall_ns - from->wall_ns;
    tally->cpu_s = (double)(now.cpu_ns - from->cpu_ns) / (double)NS_PER_S;
    tally->busiest_thread_cpu = share(worked_ns(from, &now), wall_ns);
    struct tally_pressure *noted = &tally->pressure;
    noted->windows = pressure->windows;
    noted->busy_windows = pressure->busy_windows;
    noted->busiest_window_cpu = pressure->busiest;
    noted->run_delay = share(now.run_delay_ns - from->run_delay_ns, wall_ns);
    noted->throttled = share(now.throttled_ns - from->throttled_ns, wall_ns);
    noted->steal =
        share((int64_t)(now.stolen_ticks - from->stolen_ticks), (int64_t)(now.of_all_ticks - from->of_all_ticks));
}
