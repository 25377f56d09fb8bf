# The second end of all actions: this shell waits for every note in two directories and undoes what nobody undid in time.
# Its name and its command line are "sh" alone: what ends the agent and its watchdog by their name leaves it be. It is read
# from standard input, whole before it does anything; its environment names the directories.
set -uf
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin:/run/current-system/profile/sbin:/run/current-system/profile/bin
export PATH LC_ALL=C
trap '' HUP INT
echo "$$"
say() { :; }

