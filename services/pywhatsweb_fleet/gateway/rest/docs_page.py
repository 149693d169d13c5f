"""A page that shows ``/openapi.json`` and tries requests; nothing in it comes from elsewhere."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}
body{max-width:60rem;margin:0 auto;padding:1rem}
details{border:1px solid #8886;border-radius:6px;margin:.4rem 0;padding:.4rem .8rem}
summary{cursor:pointer}
code,pre,textarea,input{font:13px/1.45 ui-monospace,monospace}
pre{overflow:auto;background:#8881;padding:.6rem;border-radius:4px}
textarea,input{width:100%;box-sizing:border-box}
.m{display:inline-block;min-width:4.2rem;font-weight:700}
h2{text-transform:capitalize;margin-top:2rem}
"""

SCRIPT = """
const make=(tag,text,parent)=>{const e=document.createElement(tag);if(text)e.textContent=text;if(parent)parent.append(e);return e};
const key=document.getElementById('key'),list=document.getElementById('list');
const name=s=>s?(s.$ref?s.$ref.split('/').pop():(s.anyOf?s.anyOf.map(name).join(' | '):(s.type||'any'))):'';
fetch('/openapi.json').then(r=>r.json()).then(doc=>{
  document.getElementById('version').textContent=doc.info.version;
  const tags={};
  for(const [path,item] of Object.entries(doc.paths))for(const [method,op] of Object.entries(item))
    (tags[op.tags[0]]??=[]).push([method,path,op]);
  for(const [tag,operations] of Object.entries(tags)){
    make('h2',tag,list);
    for(const [method,path,op] of operations){
      const box=make('details',null,list),head=make('summary',null,box);
      make('span',method.toUpperCase(),head).className='m';make('code',path,head);make('span',' '+op.summary,head);
      box.addEventListener('toggle',()=>{if(box.open&&box.children.length===1)fill(doc,box,method,path,op)});
    }
  }
});
function fill(doc,box,method,path,op){
  const inputs=[];
  for(const p of op.parameters||[]){
    const label=make('label',`${p.name} (${p.in}) ${p.description||''}`,box);const i=make('input',null,label);inputs.push([p,i]);
  }
  let body=null;const content=op.requestBody&&op.requestBody.content['application/json'];
  if(content){const label=make('label','Body: '+name(content.schema),box);body=make('textarea',null,label);body.rows=6;body.value='{}';
    const known=content.schema.$ref&&doc.components.schemas[name(content.schema)];
    if(known)make('pre',JSON.stringify(known,null,1),box)}
  const button=make('button','Try',box),out=make('pre','',box);
  button.onclick=async()=>{
    let url=path;const query=new URLSearchParams(),headers={'Accept':'application/json'};
    if(key.value)headers.Authorization='Bearer '+key.value;
    for(const [p,i] of inputs){if(!i.value)continue;
      if(p.in==='path')url=url.replace('{'+p.name+'}',encodeURIComponent(i.value));
      else if(p.in==='query')query.set(p.name,i.value);else headers[p.name]=i.value}
    if(body)headers['Content-Type']='application/json';
    const answer=await fetch(url+(query.size?'?'+query:''),{method:method.toUpperCase(),headers,body:body?body.value:undefined});
    out.textContent=answer.status+' '+answer.statusText+'\\n'+await answer.text();
  };
}
"""  # noqa: E501 - the page's own program

PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>PyWhatsWeb gateway</title><style>{STYLE}</style></head>
<body><h1>PyWhatsWeb gateway <small id="version"></small></h1>
<p><a href="/openapi.json">openapi.json</a></p>
<label>API key <input id="key" type="password" autocomplete="off"></label>
<main id="list"></main><script>{SCRIPT}</script></body></html>
"""
