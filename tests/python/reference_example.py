import requests
import websocket
import json

# Create a worker
response = requests.post('http://localhost:7788/api/workers', json={
    'name': 'test-worker',
    'project_path': '/path/to/project',
    'ai_cli_type': 'claude'
})
worker = response.json()
worker_id = worker['id']

# Connect via WebSocket
ws = websocket.create_connection(f'ws://localhost:7788/ws/{worker_id}')

# Send a message
ws.send(json.dumps({
    'type': 'message',
    'content': 'Hello, AI!'
}))

# Receive responses
while True:
    message = json.loads(ws.recv())
    print(message)
