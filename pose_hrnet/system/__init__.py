"""What any program needs, whatever it is about: no pose, no model.

folders       room and rights, one owner, temporary files
inputs        opens what is given: regular files alone, of sane sizes
strict_yaml   YAML in: no key twice, nothing that multiplies
files         atomic writes, JSON out, the cache folder
download      files from the web: addresses in order, checked, whole or not there
transfer      one file from one address: resumed, given up in time
remote        files of object stores
device        device, precision, autocast; compiler and cores that are there
distributed   several processes that work as one; a network that they train together
launch        rank and size from the environment, without torch
memory        peak and usable memory of device and process
interrupts    SIGINT and SIGTERM stop where nothing is lost
threads       work ahead and behind
progress      what watches long work
text          counts, durations, bytes, rates and sizes as text
extras        optional packages, or the command that installs them
defaults      numbers that functions and the options of commands share
arguments     refuses what a function is called with by mistake
choices       the Literals that settings and options are made of
"""
