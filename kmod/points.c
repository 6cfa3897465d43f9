// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * Points of points.h: by three of the module's parameters, which only root has.
 *
 *	point		write a name: the first task that comes there stands, and those that
 *			stood elsewhere are let go; with a + before the name they are not.
 *			An empty line lets all go.
 *	standing	points where a task stands, and its id, a line for each
 *	points		all names
 */
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/wait.h>

#include "points.h"

#define HD_POINT_MOST	(60 * HZ)	/* nobody stands for ever whose test has died */

#define HD_POINT_NAME(name)	#name,
static const char *const hd_point_names[HD_NR_POINTS] = { "", HD_EACH_POINT(HD_POINT_NAME) };

/* Who stands is let go by a new turn. */
static struct {
	bool armed;
	pid_t standing;
} hd_points[HD_NR_POINTS];		/* lock; a leaf */
static unsigned int hd_turn;		/* lock to write */
static DEFINE_SPINLOCK(hd_point_lock);
static DECLARE_WAIT_QUEUE_HEAD(hd_point_wait);

void hd_point_reached(enum hd_point nr)
{
	unsigned int turn;
	bool stand;

	might_sleep();
	spin_lock(&hd_point_lock);
	stand = hd_points[nr].armed;
	if (stand) {
		hd_points[nr].armed = false;
		hd_points[nr].standing = task_pid_nr(current);
	}
	turn = hd_turn;
	spin_unlock(&hd_point_lock);
	if (!stand)
		return;
	wait_event_killable_timeout(hd_point_wait, READ_ONCE(hd_turn) != turn, HD_POINT_MOST);
	spin_lock(&hd_point_lock);
	if (hd_turn == turn)
		hd_points[nr].standing = 0;
	spin_unlock(&hd_point_lock);
}

static int hd_point_set(const char *text, const struct kernel_param *kp)
{
	bool besides = *text == '+';
	int nr = sysfs_match_string(hd_point_names, text + besides);

	if (nr < 0)
		return nr;
	spin_lock(&hd_point_lock);
	if (!besides) {
		memset(hd_points, 0, sizeof(hd_points));
		WRITE_ONCE(hd_turn, hd_turn + 1);
	}
	hd_points[nr].armed = nr != HD_POINT_NONE;
	spin_unlock(&hd_point_lock);
	wake_up_all(&hd_point_wait);
	return 0;
}

static const struct kernel_param_ops hd_point_ops = { .set = hd_point_set };
module_param_cb(point, &hd_point_ops, NULL, 0200);
MODULE_PARM_DESC(point, "where the next task stands that comes there (for tests)");

static int hd_standing_get(char *buffer, const struct kernel_param *kp)
{
	int i, n = 0;

	spin_lock(&hd_point_lock);
	for (i = 1; i < HD_NR_POINTS; i++)
		if (hd_points[i].standing)
			n += sysfs_emit_at(buffer, n, "%s %d\n", hd_point_names[i],
					   hd_points[i].standing);
	spin_unlock(&hd_point_lock);
	return n;
}

static const struct kernel_param_ops hd_standing_ops = { .get = hd_standing_get };
module_param_cb(standing, &hd_standing_ops, NULL, 0400);
MODULE_PARM_DESC(standing, "points where a task stands, and its id");

static int hd_points_get(char *buffer, const struct kernel_param *kp)
{
	int i, n = 0;

	for (i = 1; i < HD_NR_POINTS; i++)
		n += sysfs_emit_at(buffer, n, "%s%c", hd_point_names[i],
				   i == HD_NR_POINTS - 1 ? '\n' : ' ');
	return n;
}

static const struct kernel_param_ops hd_points_ops = { .get = hd_points_get };
module_param_cb(points, &hd_points_ops, NULL, 0400);
MODULE_PARM_DESC(points, "names of all points");
