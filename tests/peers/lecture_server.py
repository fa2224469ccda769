#!/usr/bin/env python2.7
# Instant messenger server (networking lecture, exercise 3)
#
# usage: python2.7 lecture_server.py PORT        (0: any free port)
#
# The server generates a lot of debugging messages (on stderr).

import pickle
import socket
import sys
import threading

lock = threading.Lock()     # for all of the following
sockets = {}                # username -> socket
statuses = {}               # username -> status
conversations = {}          # conversation id -> list of usernames
next_id = 1


def debug(message):
    sys.stderr.write('[server] ' + message + '\n')


def send(sock, command, args):
    debug('sending %s %r' % (command, args))
    try:
        sock.sendall(command + ' ' + pickle.dumps(args))
    except socket.error, e:
        debug('could not send: %r' % e)


def broadcast_online_users():
    debug('%d users online' % len(statuses))
    for name in sockets:
        send(sockets[name], 'ONLINE_USERS', statuses)


def remove_user(username):
    debug('user %r goes offline' % username)
    del sockets[username]
    del statuses[username]
    for members in conversations.values():
        if username in members:
            members.remove(username)
    broadcast_online_users()


def register(sock, args):
    name, status = args
    if name in sockets:
        send(sock, 'ERROR', 'Name already taken')
        return None
    sockets[name] = sock
    statuses[name] = status
    debug('user %r is registered' % name)
    broadcast_online_users()
    return name


def invite(sock, username, names):
    global next_id
    for name in names:
        if name not in sockets:
            send(sock, 'ERROR', 'No such user: %s' % name)
            return
    conv = next_id
    next_id += 1
    conversations[conv] = []
    debug('new conversation %d' % conv)
    invited = [username]
    for name in names:
        if name not in invited:
            invited.append(name)
    for name in invited:
        send(sockets[name], 'INVITATION', [conv, username])


def handle(sock, username, command, args):
    if command == 'STATUS':
        statuses[username] = args[0]
        broadcast_online_users()
    elif command == 'INVITE':
        invite(sock, username, args)
    elif command == 'LIST_CONVERSATIONS':
        send(sock, 'CONVERSATIONS', conversations)
    elif command in ('JOIN', 'SEND_MESSAGE', 'LEAVE'):
        conv = args[0]
        if conv not in conversations:
            send(sock, 'ERROR', 'No such conversation: %s' % conv)
            return
        members = conversations[conv]
        if command == 'JOIN':
            if username not in members:
                members.append(username)
        elif username not in members:
            send(sock, 'ERROR', 'Not in conversation: %s' % conv)
        elif command == 'LEAVE':
            members.remove(username)
        else:
            for name in members:
                send(sockets[name], 'MESSAGE', [conv, username, args[1]])
        debug('members of %r: %r' % (conv, members))
    else:
        send(sock, 'ERROR', 'Unknown command: %s' % command)


def connection(sock, address):
    username = None
    while True:
        try:
            data = sock.recv(1024)
        except socket.error, e:
            debug('recv failed: %r' % e)
            data = ''
        debug('received from %r: %r' % (username or address, data))
        space = data.find(' ')
        if space == -1:
            command, args = data, []
        else:
            command, args = data[:space], pickle.loads(data[space + 1:])
        if command == 'GOODBYE' or command == '':
            break
        with lock:
            if username is not None:
                handle(sock, username, command, args)
            elif command == 'REGISTER':
                username = register(sock, args)
            else:
                send(sock, 'ERROR', 'Please register first')
    if username is not None:
        with lock:
            remove_user(username)
    sock.close()
    debug('connection from %r closed' % (address,))


server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(('127.0.0.1', int(sys.argv[1])))
server.listen(5)
print 'listening on %d' % server.getsockname()[1]
sys.stdout.flush()
while True:
    sock, address = server.accept()
    debug('connection from %r' % (address,))
    thread = threading.Thread(target=connection, args=(sock, address))
    thread.setDaemon(True)
    thread.start()
