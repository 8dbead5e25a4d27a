(()=>{
"use strict";
const by=i=>document.getElementById(i),live=by("live"),pause=by("pause");
let tag=null,page=null,paused=false,wait=5,fails=0,title=document.title;
pause.hidden=false;
const say=t=>{if(live.textContent!==t)live.textContent=t};
const put=(i,t)=>{const e=by(i);if(e&&e.textContent!==t)e.textContent=t};
async function whole(){
 const a=await fetch("./",{cache:"no-store"});
 if(!a.ok)throw 0;
 const d=new DOMParser().parseFromString(await a.text(),"text/html"),m=by("main"),n=d.getElementById("main");
 const open=m.querySelector("details")?.open,word=by("verdict").textContent;
 const at=document.activeElement,back=m.contains(at)&&at!==m;
 const status=by("verdict");
 [...m.querySelectorAll("section")].forEach(s=>{if(!s.contains(status))s.remove()});
 const o=status.closest("section"),v=n.querySelector("#verdict").closest("section");
 o.className=v.className;
 o.querySelector("svg").replaceWith(v.querySelector("svg"));
 const now=v.querySelector("#verdict").textContent;
 if(now!==word)status.textContent=now;
 v.remove();
 m.append(...n.childNodes);
 if(open)m.querySelector("details").open=true;
 if(back)m.focus();
 title=d.title;
}
async function look(){
 if(!paused&&!document.hidden)try{
  const a=await fetch("status.json",{cache:"no-store",headers:tag?{"If-None-Match":tag}:{}});
  if(a.status!==304){
   if(!a.ok)throw 0;
   const s=await a.json();
   if(page!==null&&page!==s.page)await whole();
   page=s.page;tag=a.headers.get("ETag");
   for(const i in s.texts)put(i,s.texts[i]);
  }
  fails=0;wait=5;document.title=title;document.body.className="";
  say("Updated every 5 s.");
 }catch{
  fails++;wait=Math.min(wait*2,60);
  if(fails>2){document.title="No answer · "+title;document.body.className="old";say("No answer from the gateway: these figures are old.")}
 }
 setTimeout(look,wait*1000);
}
pause.onclick=()=>{paused=!paused;pause.textContent=paused?"Go on with updates":"Pause updates";say(paused?"Paused.":"Updated every 5 s.")};
look();
})();
