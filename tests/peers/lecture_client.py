#!/usr/bin/env python2.7
# Instant messenger client (networking lecture, exercise 3)
#
# usage: python2.7 lecture_client.py HOST PORT USERNAME STATUS
#
# commands on stdin, one a line:
#   invite bo cy / join ID / send ID text / leave ID / status text / list / quit

import os
import pickle
import socket
import sys
import threading

host = sys.argv[1]
port = int(sys.argv[2])
username = sys.argv[3]
status = sys.argv[4]

sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
ids = {}    # what the user types -> the conversation id as the server sent it


def send(command, args):
    sock.sendall(command + ' ' + pickle.dumps(args))


def text(x):
    if isinstance(x, unicode):
        return x.encode('utf-8')
    return str(x)


def show(line):
    print line
    sys.stdout.flush()


def handle(command, args):
    if command == 'ONLINE_USERS':
        users = []
        for name in args:
            users.append(text(name) + '=' + text(args[name]))
        show('online ' + ', '.join(sorted(users)))
    elif command == 'INVITATION':
        ids[text(args[0])] = args[0]
        show('invitation ' + text(args[0]) + ' from ' + text(args[1]))
    elif command == 'MESSAGE':
        show('message ' + text(args[0]) + ' ' + text(args[1]) + ': ' + text(args[2]))
    elif command == 'CONVERSATIONS':
        lines = []
        for conv in sorted(args, key=text):
            ids[text(conv)] = conv
            members = [text(name) for name in args[conv]]
            lines.append(text(conv) + '=[' + ', '.join(members) + ']')
        show('conversations ' + '; '.join(lines))
    elif command == 'ERROR':
        show('error ' + text(args))


def reader():
    while True:
        data = sock.recv(1024)
        if data == '':
            show('closed')
            os._exit(0)
        space = data.find(' ')
        command = data[:space]
        rest = data[space + 1:]
        handle(command, pickle.loads(rest))


sock.connect((host, port))
thread = threading.Thread(target=reader)
thread.start()
send('REGISTER', [username, status])

while True:
    line = sys.stdin.readline()
    word, _, rest = line.rstrip('\n').partition(' ')
    if line == '' or word == 'quit':
        sock.sendall('GOODBYE')
        break
    elif word == 'invite':
        send('INVITE', rest.split(' '))
    elif word == 'join':
        send('JOIN', [ids.get(rest, rest)])
    elif word == 'send':
        conv, _, message = rest.partition(' ')
        send('SEND_MESSAGE', [ids.get(conv, conv), message])
    elif word == 'leave':
        send('LEAVE', [ids.get(rest, rest)])
    elif word == 'status':
        send('STATUS', [rest])
    elif word == 'list':
        sock.sendall('LIST_CONVERSATIONS')
    else:
        print >>sys.stderr, 'unknown command:', word

thread.join()   # the reader goes on until the server closes
